/** How answers are drawn. What is left alone is the model's own way. */
import { Slider } from "radix-ui";
import { useId, useState } from "react";
import type { ChatView, Sampling } from "../api/types";
import { Button } from "../ui/Button";

type Name = "temperature" | "top_p" | "min_p" | "repetition_penalty" | "max_tokens";

interface Knob {
  name: Name;
  label: string;
  about: string;
  min: number;
  max: number;
  step: number;
  usual: number;
}

const KNOBS: Knob[] = [
  {
    name: "temperature",
    label: "Temperature",
    about: "Low is predictable, high is adventurous.",
    min: 0,
    max: 2,
    step: 0.05,
    usual: 0.8,
  },
  {
    name: "top_p",
    label: "Top P",
    about: "Keeps the likeliest words that make up this share.",
    min: 0.05,
    max: 1,
    step: 0.05,
    usual: 0.95,
  },
  {
    name: "min_p",
    label: "Min P",
    about: "Drops words less likely than this share of the best.",
    min: 0,
    max: 0.5,
    step: 0.01,
    usual: 0.05,
  },
  {
    name: "repetition_penalty",
    label: "Repetition penalty",
    about: "Above 1, words that were said come less often.",
    min: 0.8,
    max: 1.5,
    step: 0.01,
    usual: 1.05,
  },
  {
    name: "max_tokens",
    label: "Longest answer",
    about: "In tokens, about three quarters of a word each.",
    min: 16,
    max: 1024,
    step: 16,
    usual: 256,
  },
];

interface SamplingFieldsProps {
  sampling: ChatView["sampling"];
  onChange: (sampling: Sampling | null) => void;
}

export function SamplingFields({ sampling, onChange }: SamplingFieldsProps) {
  const set = Object.keys(sampling).length > 0;
  return (
    <details className="group" open={set}>
      <summary className="cursor-pointer text-sm font-semibold">Style of the answers</summary>
      <div className="flex flex-col gap-6 pt-5">
        {KNOBS.map((knob) => (
          <KnobField
            key={knob.name}
            knob={knob}
            value={numberOf(sampling[knob.name])}
            onChange={(value) => onChange({ ...sampling, [knob.name]: value })}
          />
        ))}
        <Button small look="quiet" disabled={!set} onClick={() => onChange(null)}>
          Back to the model’s own
        </Button>
      </div>
    </details>
  );
}

interface KnobFieldProps {
  knob: Knob;
  value: number | undefined;
  onChange: (value: number) => void;
}

function KnobField({ knob, value, onChange }: KnobFieldProps) {
  const id = useId();
  const [moving, setMoving] = useState<number | null>(null);
  const now = moving ?? value;
  return (
    <div>
      <div className="flex items-baseline justify-between text-sm">
        <span id={id}>{knob.label}</span>
        <span className="text-muted tabular-nums">{now ?? "the model’s own"}</span>
      </div>
      <Slider.Root
        className="relative my-1 flex h-8 touch-none items-center"
        min={knob.min}
        max={knob.max}
        step={knob.step}
        value={[now ?? knob.usual]}
        onValueChange={([next]) => setMoving(next ?? null)}
        onValueCommit={([next]) => {
          setMoving(null);
          if (next !== undefined) onChange(next);
        }}
      >
        <Slider.Track className="bg-ink/12 relative h-1 flex-1 rounded-full">
          <Slider.Range className="bg-edge absolute h-full rounded-full" />
        </Slider.Track>
        <Slider.Thumb
          aria-labelledby={id}
          className="bg-raised border-edge block size-5 rounded-full border-2"
        />
      </Slider.Root>
      <p className="text-muted text-xs">{knob.about}</p>
    </div>
  );
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
