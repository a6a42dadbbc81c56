/** Sign in, or make an account. A guest's chats come along. */
import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Tabs } from "radix-ui";
import { useState, type SyntheticEvent } from "react";
import { ApiError, sentence } from "../lib/errors";
import { Button } from "../ui/Button";
import { useTitle } from "../lib/useTitle";
import { TextField } from "../ui/Field";
import { Wordmark } from "../ui/Wordmark";
import { register, signIn, useUser } from "./session";

const tab =
  "text-muted data-[state=active]:text-ink data-[state=active]:bg-raised h-9 flex-1 rounded-md text-sm font-semibold transition data-[state=active]:shadow-[0_1px_2px_rgb(0_0_0/0.12)]";

export function SignInPage() {
  const user = useUser();
  useTitle("Sign in");
  return user === undefined ? null : <Entry guest={user?.guest === true} />;
}

function Entry({ guest }: { guest: boolean }) {
  return (
    <main className="mx-auto flex w-full max-w-sm flex-col gap-8 px-6 py-16">
      <Link to="/" className="self-start" aria-label="Troupe, home">
        <Wordmark />
      </Link>
      <h1 className="text-2xl font-semibold">{guest ? "Keep your chats" : "Welcome"}</h1>
      <Tabs.Root defaultValue={guest ? "register" : "sign-in"} className="flex flex-col gap-6">
        <Tabs.List className="bg-ink/7 flex gap-1 rounded-lg p-1" aria-label="Account">
          <Tabs.Trigger value="sign-in" className={tab}>
            Sign in
          </Tabs.Trigger>
          <Tabs.Trigger value="register" className={tab}>
            New account
          </Tabs.Trigger>
        </Tabs.List>
        <Tabs.Content value="sign-in">
          <SignInForm guest={guest} />
        </Tabs.Content>
        <Tabs.Content value="register">
          <RegisterForm guest={guest} />
        </Tabs.Content>
      </Tabs.Root>
    </main>
  );
}

function SignInForm({ guest }: { guest: boolean }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const entry = useMutation({ mutationFn: () => signIn(name.trim(), password) });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    entry.mutate();
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-5">
      {guest && (
        <p className="text-muted text-sm">
          You are a guest now. Signing in to another account leaves the guest’s chats behind; make a
          new account to keep them.
        </p>
      )}
      <TextField
        label="Name"
        autoComplete="username"
        required
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <TextField
        label="Password"
        type="password"
        autoComplete="current-password"
        required
        value={password}
        onChange={(event) => setPassword(event.target.value)}
      />
      <FormError error={entry.error} />
      <Button type="submit" look="primary" busy={entry.isPending}>
        Sign in
      </Button>
    </form>
  );
}

function RegisterForm({ guest }: { guest: boolean }) {
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const navigate = useNavigate();
  const entry = useMutation({
    mutationFn: () => register(name.trim(), email.trim(), password),
    onSuccess: () => navigate({ to: "/" }),
  });
  const fields = entry.error instanceof ApiError ? entry.error.fields : {};
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    entry.mutate();
  };
  return (
    <form onSubmit={submit} className="flex flex-col gap-5">
      {guest && <p className="text-muted text-sm">Your chats and characters stay with you.</p>}
      <TextField
        label="Name"
        autoComplete="username"
        required
        value={name}
        error={fields["name"]}
        onChange={(event) => setName(event.target.value)}
      />
      <TextField
        label="Email (if you like)"
        type="email"
        autoComplete="email"
        value={email}
        error={fields["email"]}
        onChange={(event) => setEmail(event.target.value)}
      />
      <TextField
        label="Password"
        type="password"
        autoComplete="new-password"
        minLength={8}
        required
        value={password}
        error={fields["password"]}
        hint="At least 8 characters."
        onChange={(event) => setPassword(event.target.value)}
      />
      <FormError error={entry.error} />
      <Button type="submit" look="primary" busy={entry.isPending}>
        Make account
      </Button>
    </form>
  );
}

function FormError({ error }: { error: unknown }) {
  if (error === null || (error instanceof ApiError && Object.keys(error.fields).length > 0)) {
    return null;
  }
  return (
    <p role="alert" className="text-danger text-sm">
      {sentence(error)}
    </p>
  );
}
