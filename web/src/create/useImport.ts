/** Bring a character card in from a file, and show what came of it. */
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { ensureUser } from "../account/session";
import { importCard } from "../character/queries";
import { ApiError } from "../lib/errors";
import { say } from "../ui/toast";

export const CARD_FILES = ".png,.json,.charx,image/png,application/json";
const MOST_BYTES = 64 * 1024 * 1024; // the server says less when it takes less

export function useImport() {
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async (file: File) => {
      if (!/\.(png|apng|json|charx|jpe?g)$/iu.test(file.name)) {
        throw new ApiError(
          "file_type",
          `${file.name} is not a character card. Cards are PNG, JSON or CHARX files.`,
          0,
        );
      }
      if (file.size > MOST_BYTES) {
        throw new ApiError("file_size", `${file.name} is too large for a character card.`, 0);
      }
      await ensureUser();
      return importCard(file);
    },
    onSuccess: (character) => {
      say(`${character.name} is here.`);
      return navigate({ to: "/c/$slug", params: { slug: character.slug } });
    },
  });
}
