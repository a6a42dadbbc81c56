/** A person's own things: personas, preferences, keys. */
import { queryOptions } from "@tanstack/react-query";
import { core, unwrap } from "../lib/http";

export const personasQuery = queryOptions({
  queryKey: ["personas"],
  queryFn: () => unwrap(core.GET("/api/v1/personas")),
});

export const preferencesQuery = queryOptions({
  queryKey: ["preferences"],
  queryFn: () => unwrap(core.GET("/api/v1/preferences")),
});

export const keysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: () => unwrap(core.GET("/api/v1/keys")),
});
