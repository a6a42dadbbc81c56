/** Who you are, how it looks, which model answers, and the account. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useUser } from "../account/session";
import { useTitle } from "../lib/useTitle";
import { buttonClass } from "../ui/Button";
import { Skeleton } from "../ui/States";
import { Account } from "./Account";
import { Keys } from "./Keys";
import { Personas } from "./Personas";
import { ModelChoice, ThemeChoice } from "./Choices";

export function SettingsPage() {
  useTitle("Settings");
  const user = useUser();
  return (
    <main className="mx-auto w-full max-w-2xl px-4 pt-8 pb-24 sm:px-6 lg:pt-12">
      <h1 className="mb-8 text-2xl font-semibold">Settings</h1>
      <div className="flex flex-col gap-12">
        <Section title="Look" about="Kept on this device, and with your account.">
          <ThemeChoice signedIn={user != null} />
        </Section>
        {user === undefined && <Skeleton className="h-48" />}
        {user === null && (
          <Section title="Account" about="Chats and characters belong to somebody.">
            <div>
              <Link to="/sign-in" className={buttonClass("primary")}>
                Sign in
              </Link>
            </div>
          </Section>
        )}
        {user != null && (
          <>
            <Section title="Model" about="Who writes the answers in new chats.">
              <ModelChoice />
            </Section>
            <Section
              title="Personas"
              about="Who you are to the characters: they are told the name and the description."
            >
              <Personas />
            </Section>
            <Section
              title="API keys"
              about="For other programs: anything that speaks OpenAI’s API can talk with your characters."
            >
              <Keys />
            </Section>
            <Section title="Account">
              <Account user={user} />
            </Section>
          </>
        )}
      </div>
    </main>
  );
}

function Section({
  title,
  about,
  children,
}: {
  title: string;
  about?: string;
  children: ReactNode;
}) {
  return (
    <section className="flex flex-col gap-5">
      <div>
        <h2 className="text-lg font-semibold">{title}</h2>
        {about !== undefined && <p className="text-muted text-sm">{about}</p>}
      </div>
      {children}
    </section>
  );
}
