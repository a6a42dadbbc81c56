/** The account itself: who it is, its password, and the way out. */
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState, type SyntheticEvent } from "react";
import { signOut } from "../account/session";
import type { User } from "../api/types";
import { ApiError, sentence } from "../lib/errors";
import { core, fetchSession, unwrap } from "../lib/http";
import { Button, buttonClass } from "../ui/Button";
import { Confirm, Dialog } from "../ui/Dialog";
import { TextField } from "../ui/Field";
import { say, sayFailed } from "../ui/toast";

export function Account({ user }: { user: User }) {
  const [changing, setChanging] = useState(false);
  const [leaving, setLeaving] = useState(false);
  const leave = useMutation({
    mutationFn: signOut,
    onError: sayFailed,
  });
  return (
    <>
      <p>
        {user.guest
          ? "You are a guest. Make an account to keep your chats on other devices."
          : `You are signed in as ${user.name}${user.email == null ? "" : `, ${user.email}`}.`}
      </p>
      <div className="flex flex-wrap gap-2">
        {user.guest ? (
          <Link to="/sign-in" className={buttonClass("primary", true)}>
            Make an account
          </Link>
        ) : (
          <Button small onClick={() => setChanging(true)}>
            Change password
          </Button>
        )}
        {user.staff && (
          <a href="/admin/" className={buttonClass("plain", true)}>
            Administration
          </a>
        )}
        <Button
          small
          look={user.guest ? "danger" : "plain"}
          busy={leave.isPending}
          onClick={() => (user.guest ? setLeaving(true) : leave.mutate())}
        >
          Sign out
        </Button>
      </div>
      <Confirm
        open={leaving}
        onOpenChange={setLeaving}
        title="Leave as a guest?"
        body="A guest who signs out cannot come back: the chats are lost to you. Make an account to keep them."
        verb="Sign out"
        onConfirm={() => leave.mutate()}
      />
      {changing && <PasswordDialog onClose={() => setChanging(false)} />}
    </>
  );
}

function PasswordDialog({ onClose }: { onClose: () => void }) {
  const [old, setOld] = useState("");
  const [fresh, setFresh] = useState("");
  const change = useMutation({
    mutationFn: async () => {
      await unwrap(core.POST("/api/v1/session/password", { body: { old, new: fresh } }));
      await fetchSession(); // the CSRF token changed with it
    },
    onSuccess: () => {
      say("The password is changed.");
      onClose();
    },
  });
  const fields = change.error instanceof ApiError ? change.error.fields : {};
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    change.mutate();
  };
  return (
    <Dialog open onOpenChange={onClose} title="Change password">
      <form onSubmit={submit} className="flex flex-col gap-5">
        <TextField
          label="Now"
          type="password"
          autoComplete="current-password"
          required
          value={old}
          error={fields["old"]}
          onChange={(event) => setOld(event.target.value)}
        />
        <TextField
          label="From now on"
          type="password"
          autoComplete="new-password"
          minLength={8}
          required
          value={fresh}
          error={fields["new"]}
          onChange={(event) => setFresh(event.target.value)}
        />
        {change.error !== null && Object.keys(fields).length === 0 && (
          <p role="alert" className="text-danger text-sm">
            {sentence(change.error)}
          </p>
        )}
        <div className="flex justify-end gap-2">
          <Button look="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" look="primary" busy={change.isPending}>
            Change it
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
