/** What can be done with a message, behind three dots. */
import clsx from "clsx";
import {
  Copy,
  CornerDownRight,
  Ellipsis,
  GitBranch,
  Info,
  Pencil,
  Pin,
  PinOff,
  RefreshCw,
  Trash2,
} from "lucide-react";
import { useState } from "react";
import type { Message, Turn } from "../api/types";
import { IconButton } from "../ui/Button";
import { Confirm } from "../ui/Dialog";
import { Menu, type MenuItem } from "../ui/Menu";
import { Details } from "./Details";
import { usePinned } from "./queries";
import type { TurnActions } from "./useTurnActions";

interface TurnMenuProps {
  message: Message;
  turn: Turn;
  actions: TurnActions;
  onEdit: () => void;
  /** Shown only when the message is pointed at. */
  quiet?: boolean;
  /** The answer is the last one: it can be written on. */
  canContinue?: boolean;
}

export function TurnMenu({ message, turn, actions, onEdit, quiet, canContinue }: TurnMenuProps) {
  const [asking, setAsking] = useState(false);
  const [details, setDetails] = useState(false);
  const pinned = usePinned(message.id);
  const streaming = message.state === "streaming";
  const character = message.speaker.startsWith("char:");
  const item = (
    label: string,
    Icon: typeof Copy,
    onSelect: () => void,
    more: Partial<MenuItem> = {},
  ): MenuItem => ({ label, icon: <Icon size={16} aria-hidden />, onSelect, ...more });
  const items = [
    item("Copy", Copy, () => actions.copy(message.body)),
    item("Edit", Pencil, onEdit, { disabled: streaming }),
    ...(canContinue === true
      ? [item("Continue", CornerDownRight, () => actions.writeOn(message.id))]
      : []),
    ...(character && turn.seq > 0
      ? [
          item("Write anew", RefreshCw, () => actions.regenerate(message.id), {
            disabled: streaming,
          }),
        ]
      : []),
    pinned
      ? item("Unpin", PinOff, () => actions.pin(message.id, false))
      : item("Pin", Pin, () => actions.pin(message.id, true), { disabled: streaming }),
    item("Branch from here", GitBranch, () => actions.branchHere(turn), { disabled: streaming }),
    ...(character ? [item("Details", Info, () => setDetails(true))] : []),
    item("Delete", Trash2, () => setAsking(true), { danger: true, disabled: streaming }),
  ];
  return (
    <>
      <Menu
        align={character ? "start" : "end"}
        trigger={
          <IconButton
            label="More"
            className={clsx(
              quiet === true &&
                "opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 data-[state=open]:opacity-100 pointer-coarse:opacity-100",
            )}
          >
            <Ellipsis size={18} aria-hidden />
          </IconButton>
        }
        items={items}
      />
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title="Delete this message?"
        body="It is erased for good, with all its versions, in every branch that shows it."
        verb="Delete"
        onConfirm={() => actions.erase(turn)}
      />
      {details && <Details message={message} onClose={() => setDetails(false)} />}
    </>
  );
}
