/** Begin a chat with a character and go there, as a guest if need be. */
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { ensureUser } from "../account/session";
import { beginChat } from "../chat/queries";
import { sayFailed } from "../ui/toast";

export function useBeginChat(slug: string) {
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async () => {
      await ensureUser();
      return beginChat(slug);
    },
    onSuccess: (chat) => navigate({ to: "/chats/$chatId", params: { chatId: chat.id } }),
    onError: sayFailed,
  });
}
