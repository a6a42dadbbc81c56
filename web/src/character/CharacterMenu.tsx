/** What else can be done with a character: share, export, edit, delete. */
import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Download, Ellipsis, Link2, Trash2 } from "lucide-react";
import { useState } from "react";
import type { Character } from "../api/types";
import { core, unwrap } from "../lib/http";
import { copyText } from "../lib/clipboard";
import { queries } from "../lib/query";
import { Button, buttonClass } from "../ui/Button";
import { Confirm } from "../ui/Dialog";
import { Menu, type MenuItem } from "../ui/Menu";
import { say, sayFailed } from "../ui/toast";
import { exportUrl } from "./queries";

export function CharacterMenu({ character }: { character: Character }) {
  const [asking, setAsking] = useState(false);
  const navigate = useNavigate();
  const remove = useMutation({
    mutationFn: () =>
      unwrap(
        core.DELETE("/api/v1/characters/{slug}", { params: { path: { slug: character.slug } } }),
      ),
    onSuccess: async () => {
      say(`${character.name} was deleted. Chats you had stay.`);
      await navigate({ to: "/" });
      await queries.invalidateQueries({ queryKey: ["characters"] });
    },
    onError: sayFailed,
  });
  const share = () => {
    void copyText(`${window.location.origin}/c/${character.slug}`).then((copied) =>
      say(copied ? "The link is copied." : "The browser did not let us copy the link."),
    );
  };
  const items: MenuItem[] = [
    ...(["png", "charx", "json"] as const).map((format) => ({
      label: `Save card as ${format.toUpperCase()}`,
      icon: <Download size={16} aria-hidden />,
      onSelect: () => window.location.assign(exportUrl(character.slug, format)),
    })),
    ...(character.mine
      ? [
          {
            label: "Delete",
            icon: <Trash2 size={16} aria-hidden />,
            onSelect: () => setAsking(true),
            danger: true,
          },
        ]
      : []),
  ];
  return (
    <>
      {character.mine && (
        <Link to="/c/$slug/edit" params={{ slug: character.slug }} className={buttonClass()}>
          Edit
        </Link>
      )}
      <Button onClick={share} aria-label="Share: copy the link" className="!px-3">
        <Link2 size={18} aria-hidden />
      </Button>
      <Menu
        align="start"
        trigger={
          <Button aria-label="More" className="!px-3">
            <Ellipsis size={18} aria-hidden />
          </Button>
        }
        items={items}
      />
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title={`Delete ${character.name}?`}
        body="Nobody can begin a chat with this character any more. Chats that exist can still be read."
        verb="Delete"
        onConfirm={() => remove.mutate()}
      />
    </>
  );
}
