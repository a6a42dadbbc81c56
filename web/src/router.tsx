/** Where everything is. Each screen's code is loaded when it is first shown. */
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from "@tanstack/react-router";
import { homeSearch } from "./home/search";
import { NotFoundPage, RouteFailed } from "./shell/NotFoundPage";
import { Shell } from "./shell/Shell";

const root = createRootRoute({ component: Shell, notFoundComponent: () => <NotFoundPage /> });

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: lazyRouteComponent(() => import("./home/HomePage"), "HomePage"),
  validateSearch: homeSearch,
});

const character = createRoute({
  getParentRoute: () => root,
  path: "/c/$slug",
  component: lazyRouteComponent(() => import("./character/CharacterPage"), "CharacterPage"),
});

const edit = createRoute({
  getParentRoute: () => root,
  path: "/c/$slug/edit",
  component: lazyRouteComponent(() => import("./create/EditPage"), "EditPage"),
});

const createNew = createRoute({
  getParentRoute: () => root,
  path: "/create",
  component: lazyRouteComponent(() => import("./create/CreatePage"), "CreatePage"),
});

const chats = createRoute({
  getParentRoute: () => root,
  path: "/chats",
  component: lazyRouteComponent(() => import("./shell/ChatsPage"), "ChatsPage"),
});

const chat = createRoute({
  getParentRoute: () => root,
  path: "/chats/$chatId",
  component: lazyRouteComponent(() => import("./chat/ChatPage"), "ChatPage"),
});

const settings = createRoute({
  getParentRoute: () => root,
  path: "/settings",
  component: lazyRouteComponent(() => import("./settings/SettingsPage"), "SettingsPage"),
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: lazyRouteComponent(() => import("./account/SignInPage"), "SignInPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([home, character, edit, createNew, chats, chat, settings, signIn]),
  defaultPreload: "intent",
  defaultErrorComponent: RouteFailed,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
