/** The left rail: places, chats, and who one is. On phones the bottom bar takes its place. */
import { Link } from "@tanstack/react-router";
import { Search } from "lucide-react";
import { useUser } from "../account/session";
import { Avatar } from "../ui/Avatar";
import { buttonClass } from "../ui/Button";
import { Skeleton } from "../ui/States";
import { Wordmark } from "../ui/Wordmark";
import { ChatList } from "./ChatList";
import { CREATE, HOME, type Place } from "./nav";

const item =
  "text-muted hover:text-ink hover:bg-ink/5 data-[status=active]:text-ink data-[status=active]:bg-ink/8 flex h-10 w-full items-center gap-3 rounded-md px-3 text-base font-medium transition";

export function Rail({ onSearch }: { onSearch: () => void }) {
  return (
    <nav
      aria-label="Main"
      className="border-line bg-sunken sticky top-0 hidden h-dvh w-(--rail) shrink-0 flex-col border-r md:flex"
    >
      <Link to="/" aria-label="Troupe, home" className="flex h-16 shrink-0 items-center px-6">
        <Wordmark />
      </Link>
      <div className="flex flex-col gap-px px-3">
        <RailLink place={HOME} />
        <RailLink place={CREATE} />
        <button type="button" onClick={onSearch} className={item}>
          <Search size={18} aria-hidden />
          <span className="flex-1 text-left">Go to…</span>
          <kbd className="text-muted font-sans text-xs" aria-hidden>
            {isMac ? "⌘K" : "Ctrl K"}
          </kbd>
        </button>
      </div>
      <h2 className="text-muted mt-6 px-6 pb-2 text-xs font-semibold">Chats</h2>
      <div className="min-h-0 flex-1 [scrollbar-width:thin] overflow-y-auto px-3 pb-4">
        <ChatList />
      </div>
      <div className="border-line border-t p-3">
        <Me />
      </div>
    </nav>
  );
}

function RailLink({ place }: { place: Place }) {
  const Icon = place.icon;
  return (
    <Link to={place.to} activeOptions={{ exact: true, includeSearch: false }} className={item}>
      <Icon size={18} aria-hidden />
      {place.label}
    </Link>
  );
}

function Me() {
  const user = useUser();
  if (user === undefined) return <Skeleton className="h-12" />;
  if (user === null) {
    return (
      <Link to="/sign-in" className={`${buttonClass("plain", true)} w-full`}>
        Sign in
      </Link>
    );
  }
  const name = user.guest ? "Guest" : user.display_name || user.name;
  return (
    <div className="flex items-center gap-1">
      <Link
        to="/settings"
        className="hover:bg-ink/5 flex min-w-0 flex-1 items-center gap-3 rounded-md px-2 py-2 transition"
      >
        <Avatar name={name} src="" className="size-8 rounded-full" />
        <span className="flex min-w-0 flex-col">
          <span className="truncate text-sm font-semibold">{name}</span>
          <span className="text-muted text-xs">Settings</span>
        </span>
      </Link>
      {user.guest && (
        <Link to="/sign-in" className={buttonClass("plain", true)}>
          Sign in
        </Link>
      )}
    </div>
  );
}

const isMac = navigator.userAgent.includes("Mac");
