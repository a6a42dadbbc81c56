/** Other ways to begin; a reader swipes between them. */
import { Plus, X } from "lucide-react";
import { Button, IconButton } from "../ui/Button";
import { TextArea } from "../ui/Field";
import { LIMITS } from "./fields";

interface GreetingFieldsProps {
  greetings: readonly string[];
  error: string | undefined;
  onChange: (greetings: string[]) => void;
}

export function GreetingFields({ greetings, error, onChange }: GreetingFieldsProps) {
  return (
    <fieldset className="flex flex-col gap-4">
      <legend className="mb-2 text-sm font-semibold">Other greetings</legend>
      {greetings.map((greeting, index) => (
        // Greetings have no names: their place is what they are.
        <div key={index} className="flex items-start gap-1">
          <div className="flex-1">
            <TextArea
              label={`Greeting ${index + 2}`}
              value={greeting}
              onChange={(event) => onChange(greetings.with(index, event.target.value))}
            />
          </div>
          <IconButton
            label={`Remove greeting ${index + 2}`}
            onClick={() => onChange(greetings.toSpliced(index, 1))}
          >
            <X size={16} aria-hidden />
          </IconButton>
        </div>
      ))}
      {error !== undefined && (
        <p role="alert" className="text-danger text-sm">
          {error}
        </p>
      )}
      <Button
        small
        className="self-start"
        disabled={greetings.length >= LIMITS.greetings}
        onClick={() => onChange([...greetings, ""])}
      >
        <Plus size={16} aria-hidden /> Another greeting
      </Button>
    </fieldset>
  );
}
