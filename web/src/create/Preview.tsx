/** How the character will look and sound, while it is written. */
import type { CharacterFields } from "../api/types";
import { filled } from "../character/Greetings";
import { hueOfName, tintOf } from "../lib/color";
import { tintStyle, useTint } from "../lib/tint";
import { Avatar } from "../ui/Avatar";
import { Said } from "../ui/Said";

export function Preview({ fields, avatar }: { fields: CharacterFields; avatar: string }) {
  const kept = avatar.startsWith("blob:") ? "" : avatar;
  const found = useTint(fields.name, kept);
  const tint = kept === "" ? tintStyle(tintOf(hueOfName(fields.name))) : found;
  const name = fields.name.trim() || "Nameless";
  return (
    <aside aria-label="Preview" style={tint} className="hidden lg:block">
      <div className="border-line bg-raised sticky top-8 flex flex-col gap-4 rounded-lg border p-5">
        <div className="flex items-center gap-3">
          <Avatar name={name} src={avatar} className="h-20 w-15 rounded-md" />
          <div className="min-w-0">
            <p className="truncate font-semibold">{name}</p>
            <p className="text-muted line-clamp-2 text-sm">{fields.tagline}</p>
          </div>
        </div>
        <div className="border-line max-h-[50dvh] overflow-y-auto border-t pt-4">
          <p className="text-tint mb-1 text-sm font-semibold">{name}</p>
          {fields.greeting.trim() === "" ? (
            <p className="text-muted text-sm">The greeting shows here, as a reader will see it.</p>
          ) : (
            <Said text={filled(fields.greeting, name, "you")} />
          )}
        </div>
      </div>
    </aside>
  );
}
