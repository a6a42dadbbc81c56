/** Copying text; pages served over plain HTTP have no clipboard, and say so. */

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not allowed, or no secure context
  }
}
