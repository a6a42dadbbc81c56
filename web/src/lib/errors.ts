/** What went wrong, in words a person can act on. Every request of the app fails with these. */

export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    readonly fields: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }
}

export const offline = () =>
  new ApiError("offline", "The server cannot be reached. Check your connection and try again.", 0);

/** The error that an answer's body tells of: `{"error": {"code", "message", "fields"?}}`. */
export function errorFrom(body: unknown, status: number): ApiError {
  const error = isRecord(body) && isRecord(body["error"]) ? body["error"] : {};
  const { code, message, fields } = error;
  return new ApiError(
    typeof code === "string" ? code : "unknown",
    typeof message === "string" ? message : `The server answered with status ${status}. Try again.`,
    status,
    isRecord(fields) ? stringsOf(fields) : {},
  );
}

/** A sentence for a person, whatever was thrown. */
export function sentence(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  return "Something went wrong in the app. Reload the page and try again.";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function stringsOf(fields: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).filter((pair): pair is [string, string] => typeof pair[1] === "string"),
  );
}
