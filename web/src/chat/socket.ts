/**
 * The connection to the chat service: says hello, keeps itself alive, and comes back after it was
 * lost. Knows nothing of chats: frames go to `onFrame`, and `onReady` says that it may be used.
 */
import type { ClientFrame, ReadyFrame, ServerFrame } from "../api/types";

export type Status = "idle" | "connecting" | "ready" | "lost";

export interface SocketHooks {
  token: () => Promise<string>;
  dropToken: () => void;
  /** Seconds that the token in use is still good for. */
  tokenLife: () => number;
  onStatus: (status: Status) => void;
  onReady: (frame: ReadyFrame) => void;
  onFrame: (frame: ServerFrame) => void;
}

const PING_MS = 25_000;
const SILENT_MS = 60_000; // a connection that says nothing for this long is dead
const LEAST_WAIT_MS = 500;
const MOST_WAIT_MS = 15_000;
const UNAUTHORIZED = 4401;

export class ChatSocket {
  private socket: WebSocket | undefined;
  private ready = false;
  private wanted = false;
  private failures = 0;
  private heardAt = 0;
  private retry: number | undefined;
  private beat: number | undefined;

  constructor(
    private readonly url: string,
    private readonly hooks: SocketHooks,
  ) {
    window.addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.hurry();
    });
  }

  /** Connect, and stay connected. */
  open(): void {
    if (this.wanted) return;
    this.wanted = true;
    this.connect();
  }

  /** Send a frame if the connection is up; says whether it was. */
  send(frame: ClientFrame): boolean {
    if (!this.ready || this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** Say hello again, with a new token. */
  async greet(): Promise<void> {
    const socket = this.socket;
    const token = await this.hooks.token();
    if (socket === this.socket && socket?.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify({ type: "hello", v: 1, token } satisfies ClientFrame));
    }
  }

  private connect(): void {
    this.hooks.onStatus("connecting");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.greet().catch(() => socket.close()); // no token: try again later, as with any loss
    });
    socket.addEventListener("message", (event: MessageEvent<string>) => {
      if (socket === this.socket) this.heard(JSON.parse(event.data) as ServerFrame);
    });
    socket.addEventListener("close", (event) => {
      if (socket === this.socket) this.lost(event.code);
    });
  }

  private heard(frame: ServerFrame): void {
    this.heardAt = Date.now();
    if (frame.type === "pong") return;
    if (frame.type !== "ready") {
      this.hooks.onFrame(frame);
      return;
    }
    const again = this.ready;
    this.ready = true;
    this.failures = 0;
    if (again) return; // a renewed token: nothing was lost
    this.beat = window.setInterval(() => this.heartbeat(), PING_MS);
    this.hooks.onStatus("ready");
    this.hooks.onReady(frame);
  }

  private heartbeat(): void {
    if (Date.now() - this.heardAt > SILENT_MS) {
      const socket = this.socket;
      this.drop();
      socket?.close();
      this.lost(0);
      return;
    }
    this.send({ type: "ping" });
    if (this.hooks.tokenLife() * 1000 < 2 * PING_MS) {
      this.greet().catch(() => undefined); // the next beat tries again while the old one is good
    }
  }

  private lost(code: number): void {
    this.drop();
    if (code === UNAUTHORIZED) this.hooks.dropToken();
    this.hooks.onStatus("lost");
    const wait = Math.min(MOST_WAIT_MS, LEAST_WAIT_MS * 2 ** this.failures);
    this.failures += 1;
    this.retry = window.setTimeout(() => this.connect(), wait * (0.5 + Math.random() / 2));
  }

  /** Try at once: the network or the person is back. */
  private hurry(): void {
    if (!this.wanted) return;
    if (this.socket === undefined) {
      window.clearTimeout(this.retry);
      this.connect();
    } else {
      this.send({ type: "ping" });
    }
  }

  private drop(): void {
    window.clearInterval(this.beat);
    const socket = this.socket;
    this.socket = undefined;
    this.ready = false;
    socket?.close();
  }
}

export function socketUrl(place: Location): string {
  return `${place.protocol === "https:" ? "wss" : "ws"}://${place.host}/chat/v1/socket`;
}
