// Links by name, for command lines and configuration. Knows the drivers that are built, and no others.
using Peregrine.Core.Links;

namespace Peregrine.Drivers;

/// <summary>Opens a link that is named by a text.</summary>
public static class LinkFactory
{
    /// <summary>What <see cref="Open"/> understands, for help texts.</summary>
    public static IReadOnlyList<string> KnownForms { get; } = ["tap:NAME", "tun:NAME", "memory"];

    /// <summary>
    /// Opens "tap:NAME" (Ethernet to this machine's kernel), "tun:NAME" (IP to it) or "memory" (one end of an in-memory pair; the other
    /// is its <see cref="MemoryLink.Peer"/>).
    /// </summary>
    /// <param name="form">The text.</param>
    /// <param name="options">How TAP and TUN are opened; the medium is taken from the text.</param>
    /// <exception cref="ArgumentException">The text is none of the known forms.</exception>
    /// <exception cref="UnauthorizedAccessException">It is not permitted; the message says what to do.</exception>
    /// <exception cref="IOException">The kernel refused; the message says what to do.</exception>
    public static ILink Open(string form, TapOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(form);
        var colon = form.IndexOf(':', StringComparison.Ordinal);
        var kind = colon < 0 ? form : form[..colon];
        var name = colon < 0 ? "" : form[(colon + 1)..];
        options ??= new TapOptions();
        return (kind, name.Length) switch
        {
            ("tap", > 0) => TapLink.Open(name, options with { Medium = LinkMedium.Ethernet }),
            ("tun", > 0) => TapLink.Open(name, options with { Medium = LinkMedium.Ip }),
            ("memory", 0) => MemoryLink.CreatePair(new MemoryLinkOptions { Mtu = options.Mtu ?? 1500 }).A,
            _ => throw new ArgumentException($"'{form}' is not a link: known are {string.Join(", ", KnownForms)}.", nameof(form)),
        };
    }
}
