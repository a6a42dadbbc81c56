/** Local storage that may be full, forbidden or hold nonsense: reading then gives the fallback. */

/** Begins the keys of what belongs to a person, not to the device. */
export const OWN = "troupe.own.";

export function readStored<T>(key: string, fallback: T, check: (value: unknown) => value is T): T {
  try {
    const raw = localStorage.getItem(key);
    if (raw === null) return fallback;
    const value: unknown = JSON.parse(raw);
    return check(value) ? value : fallback;
  } catch {
    return fallback; // private windows throw on access, and others may have written here
  }
}

/** Whether it was kept. */
export function writeStored(key: string, value: unknown): boolean {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false; // full or forbidden: what is kept here is always a convenience
  }
}

export function dropStored(key: string): void {
  try {
    localStorage.removeItem(key);
  } catch {
    return; // forbidden: then nothing was kept either
  }
}

export function dropStoredWith(prefix: string): void {
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(prefix)) localStorage.removeItem(key);
    }
  } catch {
    return; // forbidden: then nothing was kept either
  }
}

export const isString = (value: unknown): value is string => typeof value === "string";
