/** The theme, and the model for new chats. */
import { useMutation, useQuery } from "@tanstack/react-query";
import { ToggleGroup } from "radix-ui";
import { useState } from "react";
import type { Preferences, Theme } from "../api/types";
import { modelsQuery } from "../chat/queries";
import { core, unwrap } from "../lib/http";
import { queries } from "../lib/query";
import { applyTheme, currentTheme } from "../lib/theme";
import { SelectField } from "../ui/Field";
import { Failed, Skeleton } from "../ui/States";
import { sayFailed } from "../ui/toast";
import { preferencesQuery } from "./queries";

const THEMES: { value: Theme; label: string }[] = [
  { value: "system", label: "As the system" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
];

function useChange() {
  return useMutation({
    mutationFn: (body: Partial<Preferences>) => unwrap(core.PATCH("/api/v1/preferences", { body })),
    onSuccess: (preferences) => void queries.setQueryData(preferencesQuery.queryKey, preferences),
    onError: sayFailed,
  });
}

export function ThemeChoice({ signedIn }: { signedIn: boolean }) {
  const [theme, setTheme] = useState(currentTheme);
  const change = useChange();
  return (
    <ToggleGroup.Root
      type="single"
      aria-label="Theme"
      value={theme}
      onValueChange={(value) => {
        const chosen = THEMES.find((one) => one.value === value)?.value;
        if (chosen === undefined) return;
        setTheme(chosen);
        applyTheme(chosen);
        if (signedIn) change.mutate({ theme: chosen });
      }}
      className="bg-ink/7 flex gap-1 self-start rounded-lg p-1"
    >
      {THEMES.map(({ value, label }) => (
        <ToggleGroup.Item
          key={value}
          value={value}
          className="text-muted data-[state=on]:bg-raised data-[state=on]:text-ink h-9 rounded-md px-4 text-sm font-semibold transition"
        >
          {label}
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  );
}

export function ModelChoice() {
  const models = useQuery(modelsQuery);
  const preferences = useQuery(preferencesQuery);
  const change = useChange();
  const error = models.error ?? preferences.error;
  if (error !== null) return <Failed error={error} onRetry={() => void models.refetch()} />;
  if (models.data === undefined || preferences.data === undefined) {
    return <Skeleton className="h-20" />;
  }
  const { models: list, default: usual } = models.data;
  return (
    <SelectField
      label="Model for new chats"
      value={preferences.data.default_model}
      onChange={(event) => change.mutate({ default_model: event.target.value })}
    >
      <option value="">
        The server’s own
        {usual === null ? "" : `: ${list.find((m) => m.id === usual)?.name ?? usual}`}
      </option>
      {list.map((model) => (
        <option key={model.id} value={model.id}>
          {model.ready ? model.name : `${model.name} (not ready)`}
        </option>
      ))}
    </SelectField>
  );
}
