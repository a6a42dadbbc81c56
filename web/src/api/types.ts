/** Short names for the types that the servers' OpenAPI documents define. */
import type { components as ChatApi } from "./chat";
import type { components as CoreApi } from "./core";

type Core = CoreApi["schemas"];
type Chat = ChatApi["schemas"];

export type Session = Core["SessionView"];
export type User = NonNullable<Session["user"]>;
export type CharacterCard = Core["CharacterCard"];
export type Character = Core["CharacterView"];
export type Visibility = CharacterCard["visibility"];
export type CharacterFields = Required<Core["CharacterNew"]>;
export type Persona = Core["PersonaView"];
export type Preferences = Core["PreferencesView"];
export type Theme = Preferences["theme"];
export type ApiKey = Core["KeyView"];

export type ChatView = Chat["ChatView"];
export type ChatLine = Chat["ChatLine"];
export type Member = Chat["MemberView"];
export type Turn = Chat["TurnView"];
export type TurnList = Chat["TurnList"];
export type Message = Chat["MessageView"];
export type Model = Chat["ModelView"];
export type Sampling = Chat["SamplingBody"];
export type ClientFrame = Chat["ClientFrame"];
export type ServerFrame = Chat["ServerFrame"];
export type ReadyFrame = Chat["Ready"];
export type AcceptedFrame = Chat["Accepted"];
export type StartFrame = Chat["Start"];
export type DeltaFrame = Chat["DeltaFrame"];
export type DoneFrame = Chat["Done"];
export type ErrorFrame = Chat["ErrorFrame"];
