/** Short words about what just happened, at the edge of the page. */
import { toast } from "sonner";
import { sentence } from "../lib/errors";

export const say = (words: string) => void toast(words);
export const sayFailed = (error: unknown) => void toast.error(sentence(error));
