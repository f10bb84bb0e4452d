// Opens a link that is named by a line. The kinds are in Links/LinkKinds.
using Peregrine.Core.Links;

namespace Peregrine.Drivers;

/// <summary>Opens a link that is named by a text, as command lines and configuration give it.</summary>
public static class LinkFactory
{
    /// <summary>What <see cref="Open(string, LinkSettings?)"/> understands, for help texts.</summary>
    public static IReadOnlyList<string> KnownForms { get; } = [.. LinkKinds.All.Select(static kind => kind.Form)];

    /// <summary>Opens the link that a line names; see <see cref="LinkSpecification"/> for the line and <see cref="LinkKinds"/> for the kinds.</summary>
    /// <param name="line">The line, for example "tap:tap0,mtu=9000".</param>
    /// <param name="settings">What else is wanted; null for the defaults, which do not touch the kernel's side. What the line says wins.</param>
    /// <exception cref="ArgumentException">The line is wrong; the message says where.</exception>
    /// <exception cref="UnauthorizedAccessException">It is not permitted; the message says what to do.</exception>
    /// <exception cref="IOException">The kernel refused; the message says what to do.</exception>
    public static ILink Open(string line, LinkSettings? settings = null) => Open(LinkSpecification.Parse(line), settings);

    /// <summary>Opens a link that was taken apart before.</summary>
    /// <inheritdoc cref="Open(string, LinkSettings?)"/>
    public static ILink Open(LinkSpecification line, LinkSettings? settings = null)
    {
        ArgumentNullException.ThrowIfNull(line);
        return line.Kind.Open(line, settings ?? new LinkSettings());
    }
}
