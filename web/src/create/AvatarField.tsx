/** The portrait: chosen from a file, or dropped on its place. */
import { useRef } from "react";
import { tintOf, hueOfName } from "../lib/color";
import { tintStyle } from "../lib/tint";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/Button";
import { say } from "../ui/toast";

const MOST_BYTES = 20 * 1024 * 1024;

interface AvatarFieldProps {
  name: string;
  src: string;
  onChoose: (picture: { file: File; url: string }) => void;
}

export function AvatarField({ name, src, onChoose }: AvatarFieldProps) {
  const input = useRef<HTMLInputElement>(null);
  const take = (file: File | undefined) => {
    if (file === undefined) return;
    if (!file.type.startsWith("image/")) say("A portrait is a picture: PNG, JPEG or WebP.");
    else if (file.size > MOST_BYTES) say("That picture is too large. 20 MB is the most.");
    else onChoose({ file, url: URL.createObjectURL(file) });
  };
  return (
    <div className="flex items-center gap-5" style={tintStyle(tintOf(hueOfName(name)))}>
      <Avatar name={name} src={src} alt="" className="size-24 rounded-lg" />
      <div className="flex flex-col gap-2">
        <Button
          small
          onClick={() => input.current?.click()}
          onDragOver={(event) => event.preventDefault()}
          onDrop={(event) => {
            event.preventDefault();
            take(event.dataTransfer.files[0]);
          }}
        >
          {src === "" ? "Choose a portrait" : "Another portrait"}
        </Button>
        <p className="text-muted text-sm">PNG, JPEG or WebP, up to 20 MB.</p>
        <input
          ref={input}
          type="file"
          accept="image/png,image/jpeg,image/webp,image/gif"
          aria-label="Portrait"
          tabIndex={-1}
          className="sr-only"
          onChange={(event) => take(event.target.files?.[0])}
        />
      </div>
    </div>
  );
}
