/** The branches of a chat, as the tree they grew into. */
import { useMutation } from "@tanstack/react-query";
import clsx from "clsx";
import { GitBranch } from "lucide-react";
import type { ChatView } from "../api/types";
import { fullTime } from "../lib/time";
import { sayFailed } from "../ui/toast";
import { useLive } from "./live";
import { branchTree } from "./tree";
import { showBranch } from "./useTurnActions";

export function Branches({ chat }: { chat: ChatView }) {
  const now = useLive((live) => live.rooms[chat.id]?.branch) ?? chat.active_branch;
  const show = useMutation({
    mutationFn: (branch: number) => showBranch(chat.id, branch),
    onError: sayFailed,
  });
  if (chat.branches.length < 2) return null;
  return (
    <section aria-labelledby="branches">
      <h3 id="branches" className="mb-2 text-sm font-semibold">
        Branches
      </h3>
      <ul className="flex flex-col gap-px">
        {branchTree(chat.branches).map(({ branch, depth, parent, fork_seq, created_at }) => (
          <li key={branch} style={{ paddingLeft: `${Math.min(depth, 6) * 16}px` }}>
            <button
              type="button"
              aria-current={branch === now ? "true" : undefined}
              disabled={show.isPending}
              onClick={() => show.mutate(branch)}
              className={clsx(
                "hover:bg-ink/5 flex w-full items-center gap-3 rounded-md px-3 py-2 text-left text-sm transition",
                branch === now && "bg-ink/8 font-semibold",
              )}
            >
              <GitBranch size={16} aria-hidden className="text-muted shrink-0" />
              <span className="min-w-0 flex-1 truncate">
                {parent === null ? "The first" : `From message ${fork_seq}`}
              </span>
              <span className="text-muted shrink-0 text-xs font-normal">
                {fullTime(created_at)}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
