/** A character card dropped anywhere is imported. */
import { FileDown } from "lucide-react";
import { useEffect, useEffectEvent, useState } from "react";
import { useImport } from "../create/useImport";
import { sentence } from "../lib/errors";
import { Button } from "../ui/Button";
import { Dialog } from "../ui/Dialog";

export function DropImport() {
  const [over, setOver] = useState(false);
  const entry = useImport();

  const drop = useEffectEvent((file: File) => {
    if (!entry.isPending) entry.mutate(file);
  });

  useEffect(() => {
    let depth = 0;
    const hasFile = (event: DragEvent) => event.dataTransfer?.types.includes("Files") === true;
    const enter = (event: DragEvent) => {
      if (!hasFile(event)) return;
      depth += 1;
      setOver(true);
    };
    const leave = (event: DragEvent) => {
      if (!hasFile(event)) return;
      depth -= 1;
      if (depth <= 0) setOver(false);
    };
    const hover = (event: DragEvent) => {
      if (hasFile(event)) event.preventDefault();
    };
    const dropped = (event: DragEvent) => {
      if (!hasFile(event)) return;
      depth = 0;
      setOver(false);
      if (event.defaultPrevented) return; // a field of its own took it
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file !== undefined) drop(file);
    };
    window.addEventListener("dragenter", enter);
    window.addEventListener("dragleave", leave);
    window.addEventListener("dragover", hover);
    window.addEventListener("drop", dropped);
    return () => {
      window.removeEventListener("dragenter", enter);
      window.removeEventListener("dragleave", leave);
      window.removeEventListener("dragover", hover);
      window.removeEventListener("drop", dropped);
    };
  }, []);

  return (
    <>
      {(over || entry.isPending) && (
        <div
          role="status"
          className="bg-paper/90 pointer-events-none fixed inset-0 z-50 flex flex-col items-center justify-center gap-3 p-6 text-center"
        >
          <div className="border-accent absolute inset-4 rounded-lg border-2 border-dashed" />
          <FileDown size={36} className="text-accent" aria-hidden />
          <p className="font-serif text-xl">
            {entry.isPending ? "Reading the card…" : "Drop the card to bring the character in"}
          </p>
          <p className="text-muted text-sm">PNG, JSON or CHARX</p>
        </div>
      )}
      <Dialog
        open={entry.isError}
        onOpenChange={() => entry.reset()}
        title="That card could not be read"
        description={sentence(entry.error)}
      >
        <p className="text-muted text-sm">Nothing was changed.</p>
        <div className="mt-6 flex justify-end">
          <Button look="primary" onClick={() => entry.reset()}>
            Close
          </Button>
        </div>
      </Dialog>
    </>
  );
}
