/** The few places one can go from anywhere. */
import { House, MessageCircle, SquarePen, UserRound, type LucideIcon } from "lucide-react";

export interface Place {
  to: "/" | "/chats" | "/create" | "/settings";
  label: string;
  icon: LucideIcon;
}

export const HOME: Place = { to: "/", label: "Home", icon: House };
export const CHATS: Place = { to: "/chats", label: "Chats", icon: MessageCircle };
export const CREATE: Place = { to: "/create", label: "Create", icon: SquarePen };
export const SETTINGS: Place = { to: "/settings", label: "You", icon: UserRound };
