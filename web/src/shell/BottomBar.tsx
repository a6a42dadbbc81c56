/** The bar at the bottom of a phone. */
import { Link } from "@tanstack/react-router";
import { CHATS, CREATE, HOME, SETTINGS } from "./nav";

export function BottomBar() {
  return (
    <nav
      aria-label="Main"
      className="border-line bg-paper/95 fixed inset-x-0 bottom-0 z-30 flex border-t pb-[env(safe-area-inset-bottom)] backdrop-blur md:hidden"
    >
      {[HOME, CHATS, CREATE, SETTINGS].map(({ to, label, icon: Icon }) => (
        <Link
          key={to}
          to={to}
          activeOptions={{ exact: true, includeSearch: false }}
          className="text-muted data-[status=active]:text-ink flex h-14 flex-1 flex-col items-center justify-center gap-1 text-xs font-medium"
        >
          <Icon size={20} aria-hidden />
          {label}
        </Link>
      ))}
    </nav>
  );
}
