"""What template authors look at their templates with: `troupe prompt` prints what these find."""
