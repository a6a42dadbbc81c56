/** Light, dark or as the system has it. The choice is kept on the device (public/theme.js). */
import type { Theme } from "../api/types";

const KEY = "troupe.theme";

/** Show a theme and keep it for the next page load. */
export function applyTheme(theme: Theme): void {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    return; // no storage: the choice lasts for this page
  }
}

export function currentTheme(): Theme {
  const theme = document.documentElement.dataset["theme"];
  return theme === "light" || theme === "dark" ? theme : "system";
}
