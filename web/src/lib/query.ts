/** The one query client, and when it asks again. */
import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "./errors";

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      retry: (failures, error) =>
        failures < 2 && (!(error instanceof ApiError) || error.status === 0 || error.status >= 502),
    },
  },
});
