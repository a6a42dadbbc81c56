/** Branches in the order of a tree, each under the one it grew from. Pure. */
import type { ChatView } from "../api/types";

export type Branch = ChatView["branches"][number];
export type BranchRow = Branch & { depth: number };

export function branchTree(branches: readonly Branch[]): BranchRow[] {
  const childrenOf = (parent: number) => branches.filter((branch) => branch.parent === parent);
  const known = new Set(branches.map((branch) => branch.branch));
  const rows: BranchRow[] = [];
  const visit = (branch: Branch, depth: number) => {
    rows.push({ ...branch, depth });
    for (const child of sorted(childrenOf(branch.branch))) visit(child, depth + 1);
  };
  const roots = branches.filter((branch) => branch.parent == null || !known.has(branch.parent));
  for (const root of sorted(roots)) visit(root, 0);
  return rows;
}

function sorted(branches: readonly Branch[]): Branch[] {
  return branches.toSorted((a, b) => a.fork_seq - b.fork_seq || a.branch - b.branch);
}
