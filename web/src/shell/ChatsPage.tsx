/** The list of chats as a page of its own: on phones there is no rail. */
import { ChatList } from "./ChatList";
import { useTitle } from "../lib/useTitle";

export function ChatsPage() {
  useTitle("Chats");
  return (
    <main className="mx-auto w-full max-w-2xl px-4 py-6 md:px-8 md:py-10">
      <h1 className="mb-4 px-2 text-2xl font-semibold">Chats</h1>
      <ChatList />
    </main>
  );
}
