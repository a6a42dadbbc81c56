/** Ctrl/Cmd-K: chats, characters and places by name. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Command } from "cmdk";
import { useDeferredValue, useState } from "react";
import { charactersQuery } from "../character/queries";
import { characterOf, useChats } from "../chat/queries";
import { Avatar } from "../ui/Avatar";
import { CREATE, HOME, SETTINGS } from "./nav";

const row =
  "data-[selected=true]:bg-ink/8 flex cursor-pointer items-center gap-3 rounded-md px-3 py-2 text-sm";

export function CommandPalette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const q = useDeferredValue(text.trim());
  const navigate = useNavigate();
  const { chats } = useChats();
  const found = useInfiniteQuery(charactersQuery({ q: q === "" ? undefined : q }));
  const words = q.toLowerCase();
  const places = [HOME, CREATE, SETTINGS].filter((place) =>
    place.label.toLowerCase().includes(words),
  );
  const lines = chats.filter((line) => line.title.toLowerCase().includes(words)).slice(0, 6);
  const characters = found.data?.pages[0]?.items.slice(0, 8) ?? [];
  // Enter takes the first row, also when rows change after the last key was pressed.
  const rows = [
    ...lines.map((line) => `chat ${line.id}`),
    ...characters.map((card) => `character ${card.id}`),
    ...places.map((place) => `place ${place.to}`),
  ];
  const [pointed, setPointed] = useState("");
  const at = rows.includes(pointed) ? pointed : (rows[0] ?? "");

  return (
    <Command.Dialog
      open
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      label="Go to"
      shouldFilter={false}
      value={at}
      onValueChange={setPointed}
      overlayClassName="bg-veil fixed inset-0 z-40"
      contentClassName="bg-raised border-line shadow-float fixed top-[12dvh] left-1/2 z-50 w-[calc(100vw-2rem)] max-w-xl -translate-x-1/2 overflow-hidden rounded-lg border"
    >
      <Command.Input
        value={text}
        onValueChange={setText}
        placeholder="A character, a chat, a place"
        className="border-line h-14 w-full border-b bg-transparent px-5 text-base outline-none"
      />
      <Command.List className="[&_[cmdk-group-heading]]:text-muted max-h-[60dvh] overflow-y-auto p-2 [&_[cmdk-group-heading]]:px-3 [&_[cmdk-group-heading]]:pt-3 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:text-xs [&_[cmdk-group-heading]]:font-semibold">
        <Command.Empty className="text-muted px-3 py-6 text-center text-sm">
          Nothing by this name.
        </Command.Empty>
        {lines.length > 0 && (
          <Command.Group heading="Chats">
            {lines.map((line) => {
              const character = characterOf(line.members);
              return (
                <Command.Item
                  key={line.id}
                  value={`chat ${line.id}`}
                  className={row}
                  onSelect={() => {
                    onClose();
                    void navigate({ to: "/chats/$chatId", params: { chatId: line.id } });
                  }}
                >
                  <Avatar
                    name={character?.name ?? line.title}
                    src={character?.avatar ?? ""}
                    className="size-8 rounded-sm"
                  />
                  {line.title}
                </Command.Item>
              );
            })}
          </Command.Group>
        )}
        {characters.length > 0 && (
          <Command.Group heading="Characters">
            {characters.map((card) => (
              <Command.Item
                key={card.id}
                value={`character ${card.id}`}
                className={row}
                onSelect={() => {
                  onClose();
                  void navigate({ to: "/c/$slug", params: { slug: card.slug } });
                }}
              >
                <Avatar name={card.name} src={card.avatar} className="size-8 rounded-sm" />
                <span className="shrink-0 font-medium">{card.name}</span>
                <span className="text-muted min-w-0 flex-1 truncate">{card.tagline}</span>
              </Command.Item>
            ))}
          </Command.Group>
        )}
        {places.length > 0 && (
          <Command.Group heading="Places">
            {places.map((place) => (
              <Command.Item
                key={place.to}
                value={`place ${place.to}`}
                className={row}
                onSelect={() => {
                  onClose();
                  void navigate({ to: place.to });
                }}
              >
                <span className="text-muted flex size-8 items-center justify-center">
                  <place.icon size={18} aria-hidden />
                </span>
                {place.label}
              </Command.Item>
            ))}
          </Command.Group>
        )}
      </Command.List>
    </Command.Dialog>
  );
}
