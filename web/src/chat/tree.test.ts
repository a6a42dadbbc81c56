import { describe, expect, it } from "vitest";
import { branchTree } from "./tree";

const branch = (number: number, parent: number | null, fork_seq = 0) => ({
  branch: number,
  parent,
  fork_seq,
  fork_alt: 0,
  created_at: "2026-01-01T00:00:00Z",
});

const shape = (...branches: ReturnType<typeof branch>[]) =>
  branchTree(branches).map((row) => `${"-".repeat(row.depth)}${row.branch}`);

describe("the branches of a chat", () => {
  it("stand under the one they grew from, by where they fork", () => {
    expect(shape(branch(3, 1, 2), branch(0, null), branch(2, 0, 3), branch(1, 0, 9))).toEqual([
      "0",
      "-2",
      "-1",
      "--3",
    ]);
  });

  it("are all there when a parent is not", () => {
    expect(shape(branch(0, null), branch(5, 4))).toEqual(["0", "5"]);
  });
});
