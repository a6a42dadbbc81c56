/**
 * What somebody said: Markdown without raw HTML. Links open elsewhere and tell nothing of us;
 * pictures from other hosts are not fetched, since that would tell who reads: they are links.
 */
import { memo } from "react";
import Markdown, { type Components } from "react-markdown";
import remarkBreaks from "remark-breaks";
import remarkGfm from "remark-gfm";

const APART = "noopener noreferrer nofollow ugc";
const plugins = [remarkGfm, remarkBreaks];

const components: Components = {
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel={APART}>
      {children}
    </a>
  ),
  img: ({ src, alt }) =>
    typeof src === "string" && src !== "" ? <Picture src={src} alt={alt ?? ""} /> : null,
};

export const Said = memo(function Said({
  text,
  className = "",
}: {
  text: string;
  className?: string;
}) {
  return (
    <div className={`prose-said ${className}`}>
      <Markdown remarkPlugins={plugins} components={components}>
        {text}
      </Markdown>
    </div>
  );
});

function Picture({ src, alt }: { src: string; alt: string }) {
  const address = URL.parse(src, window.location.href);
  if (isOurs(address)) {
    return <img src={src} alt={alt} loading="lazy" className="max-h-96 max-w-full rounded-md" />;
  }
  return (
    <a href={src} target="_blank" rel={APART}>
      {alt === "" ? "A picture" : `A picture, “${alt}”,`} at {address?.host ?? "another place"}
    </a>
  );
}

/** Whether it is a portrait or picture that our own server keeps. */
function isOurs(address: URL | null): boolean {
  return address?.origin === window.location.origin && address.pathname.startsWith("/media/");
}
