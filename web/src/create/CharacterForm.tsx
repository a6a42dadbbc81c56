/** The form of a character: three fields make one, the rest unfolds. */
import { useState, type SyntheticEvent } from "react";
import type { CharacterFields, Visibility } from "../api/types";
import { Button } from "../ui/Button";
import { SelectField, TextArea, TextField } from "../ui/Field";
import { AvatarField } from "./AvatarField";
import { lengthOf, LIMITS, problems, tagsFrom, tidied } from "./fields";
import { GreetingFields } from "./GreetingFields";
import { Preview } from "./Preview";

interface CharacterFormProps {
  initial: CharacterFields;
  avatar: string;
  verb: string;
  busy: boolean;
  /** A guest may not publish. */
  guest: boolean;
  /** What the server found wrong, by field. */
  refused: Readonly<Record<string, string>>;
  onSave: (fields: CharacterFields, avatar: File | null) => void;
}

export function CharacterForm({
  initial,
  avatar,
  verb,
  busy,
  guest,
  refused,
  onSave,
}: CharacterFormProps) {
  const [fields, setFields] = useState(initial);
  const [tagText, setTagText] = useState(initial.tags.join(", "));
  const [picture, setPicture] = useState<{ file: File; url: string } | null>(null);
  const [tried, setTried] = useState(false);
  const wrong = problems(fields, initial);
  const errors: Record<string, string> = { ...refused, ...(tried ? wrong : {}) };
  const set = (change: Partial<CharacterFields>) => setFields((now) => ({ ...now, ...change }));
  const count = (
    name: "name" | "tagline" | "description" | "definition" | "example_dialogues",
  ) => ({
    now: lengthOf(fields[name]),
    most: LIMITS[name],
  });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    setTried(true);
    if (Object.keys(wrong).length === 0) onSave(tidied(fields), picture?.file ?? null);
  };
  const image = picture?.url ?? avatar;

  return (
    <div className="grid gap-12 lg:grid-cols-[minmax(0,1fr)_20rem]">
      <form onSubmit={submit} noValidate className="flex flex-col gap-6">
        <AvatarField name={fields.name} src={image} onChoose={setPicture} />
        <TextField
          label="Name"
          autoComplete="off"
          value={fields.name}
          error={errors["name"]}
          count={count("name")}
          onChange={(event) => set({ name: event.target.value })}
        />
        <TextArea
          label="Greeting"
          hint="The first thing they say. *Stars* make actions."
          value={fields.greeting}
          error={errors["greeting"]}
          count={{ now: lengthOf(fields.greeting), most: LIMITS.greeting }}
          onChange={(event) => set({ greeting: event.target.value })}
        />
        <TextArea
          label="What they are like"
          hint="Only the model reads this: who they are, how they talk, what they want."
          className="min-h-48"
          value={fields.definition}
          error={errors["definition"]}
          count={count("definition")}
          onChange={(event) => set({ definition: event.target.value })}
        />
        <details open={Object.keys(refused).length > 0 || undefined}>
          <summary className="w-fit cursor-pointer py-2 text-base font-semibold">
            More about them
          </summary>
          <div className="flex flex-col gap-6 pt-4">
            <TextField
              label="Tagline"
              hint="One line under the name."
              value={fields.tagline}
              error={errors["tagline"]}
              count={count("tagline")}
              onChange={(event) => set({ tagline: event.target.value })}
            />
            <TextArea
              label="About"
              hint="What readers see on the page. The model does not read it."
              value={fields.description}
              error={errors["description"]}
              count={count("description")}
              onChange={(event) => set({ description: event.target.value })}
            />
            <GreetingFields
              greetings={fields.alternate_greetings}
              error={errors["alternate_greetings"]}
              onChange={(alternate_greetings) => set({ alternate_greetings })}
            />
            <TextArea
              label="Example dialogues"
              hint="How they talk, by example. Begin lines with {{user}}: and {{char}}:."
              className="min-h-32"
              value={fields.example_dialogues}
              error={errors["example_dialogues"]}
              count={count("example_dialogues")}
              onChange={(event) => set({ example_dialogues: event.target.value })}
            />
            <TextField
              label="Tags"
              hint="Words between commas."
              value={tagText}
              error={errors["tags"]}
              onChange={(event) => {
                setTagText(event.target.value);
                set({ tags: tagsFrom(event.target.value) });
              }}
            />
            <SelectField
              label="Who can find them"
              error={errors["visibility"]}
              value={fields.visibility}
              onChange={(event) => set({ visibility: event.target.value as Visibility })}
            >
              <option value="public" disabled={guest}>
                {guest ? "Everybody (with an account)" : "Everybody"}
              </option>
              <option value="unlisted">Whoever has the link</option>
              <option value="private">Only you</option>
            </SelectField>
          </div>
        </details>
        <div className="bg-paper border-line sticky bottom-14 -mx-4 flex items-center gap-4 border-t px-4 py-3 md:bottom-0 md:mx-0 md:px-0">
          <Button type="submit" look="primary" busy={busy}>
            {verb}
          </Button>
          {tried && Object.keys(wrong).length > 0 && (
            <p role="alert" className="text-danger text-sm">
              {Object.values(wrong)[0]}
            </p>
          )}
        </div>
      </form>
      <Preview fields={fields} avatar={image} />
    </div>
  );
}
