/** A chat before it is there, in its shape. */
import { Skeleton } from "../ui/States";

export function ChatSkeleton() {
  return (
    <main role="status" aria-label="Loading the chat" className="flex h-dvh flex-col">
      <div className="border-line flex h-16 items-center gap-3 border-b px-4 md:px-6">
        <Skeleton className="size-10" />
        <div className="flex flex-col gap-2">
          <Skeleton className="h-4 w-32" />
          <Skeleton className="h-3 w-20" />
        </div>
      </div>
      <div className="mx-auto flex w-full max-w-[44rem] flex-1 flex-col gap-8 px-4 py-8 md:px-8">
        <div className="flex flex-col gap-3">
          <Skeleton className="h-4 w-24" />
          <Skeleton className="h-4 w-full" />
          <Skeleton className="h-4 w-11/12" />
          <Skeleton className="h-4 w-2/3" />
        </div>
        <Skeleton className="h-12 w-1/2 self-end rounded-xl" />
      </div>
    </main>
  );
}
