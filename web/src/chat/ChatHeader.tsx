/** Who one talks with, on which model, and the way to the chat's settings. */
import { Link } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";
import { ChevronLeft, SlidersHorizontal } from "lucide-react";
import type { ChatView } from "../api/types";
import { Avatar } from "../ui/Avatar";
import { IconButton } from "../ui/Button";
import { useLive } from "./live";
import { characterOf, modelsQuery } from "./queries";

interface ChatHeaderProps {
  chat: ChatView;
  onSettings: () => void;
}

export function ChatHeader({ chat, onSettings }: ChatHeaderProps) {
  const character = characterOf(chat.members);
  const models = useQuery(modelsQuery).data;
  const status = useLive((live) => live.status);
  const modelId = chat.model ?? models?.default ?? null;
  const model = models?.models.find((one) => one.id === modelId);
  const name = character?.name ?? chat.title;
  const portrait = (
    <Avatar name={name} src={character?.avatar ?? ""} eager className="size-10 rounded-md" />
  );
  return (
    <header className="border-line bg-paper z-10 flex h-16 shrink-0 items-center gap-1 border-b pr-2 pl-1 md:gap-3 md:px-6">
      <Link
        to="/chats"
        aria-label="Back to your chats"
        className="text-muted flex size-10 items-center justify-center rounded-md md:hidden"
      >
        <ChevronLeft size={22} aria-hidden />
      </Link>
      {character?.slug == null ? (
        portrait
      ) : (
        <Link
          to="/c/$slug"
          params={{ slug: character.slug }}
          aria-label={`${name}’s page`}
          className="rounded-md"
        >
          {portrait}
        </Link>
      )}
      <div className="ml-2 min-w-0 flex-1 md:ml-0">
        <p className="truncate text-base leading-5 font-semibold">{chat.title}</p>
        <p className="text-muted truncate text-xs" data-testid="model">
          {status === "lost" ? (
            <span className="text-danger">Reconnecting…</span>
          ) : (
            (model?.name ?? modelId ?? "No model yet")
          )}
        </p>
      </div>
      <IconButton label="Chat settings" className="size-11" onClick={onSettings}>
        <SlidersHorizontal size={20} aria-hidden />
      </IconButton>
    </header>
  );
}
