// What it takes to open a link's descriptors anew when its interface went and came back: a description that fits into a message, since after
// root was given up another process does it. The driver that has lost its descriptors calls the source that it was given at its opening.
using System.Globalization;
using Peregrine.Wire;

namespace Peregrine.Drivers;

/// <summary>A link that was opened, as far as opening it again needs it.</summary>
/// <param name="Line">The line that opened it.</param>
/// <param name="Name">The interface that it became: the line's name, or what the kernel made of it ("tap%d").</param>
/// <param name="Settings">What was said beside the line.</param>
/// <param name="MayMake">Whether the interface is ours, so that one that is gone is made again; else it is waited for.</param>
internal sealed record LinkReopening(LinkSpecification Line, string Name, LinkSettings Settings, bool MayMake)
{
    private const char Separator = '\n';
    private const int PartCount = 8;

    /// <summary>Descriptors that opening needs besides, which the message brings along: the XDP program. The opener holds them as long as it runs.</summary>
    public int[] Held { get; init; } = [];

    /// <summary>Opens, in order, all descriptors that the link's queues need.</summary>
    /// <exception cref="IOException">The kernel refused, or the interface is not there.</exception>
    /// <exception cref="UnauthorizedAccessException">It is not permitted.</exception>
    public int[] Open() => Line.Kind.Reopen is { } reopen ? reopen(this) : throw new IOException($"a link of the kind '{Line.Kind.Name}' cannot be opened again");

    /// <summary>As a text of eight lines.</summary>
    /// <exception cref="ArgumentException">A name in it has a line's end.</exception>
    public string ToText()
    {
        string[] parts =
        [
            Line.Source, Name, Settings.NetworkNamespace ?? "", Settings.Mtu?.ToString(CultureInfo.InvariantCulture) ?? "",
            Switch(Settings.Offloads), Switch(Settings.BringUp), Switch(MayMake), string.Join(' ', Settings.KernelAddresses),
        ];
        return Array.Exists(parts, static part => part.Contains(Separator, StringComparison.Ordinal))
            ? throw Line.Error("an opener takes no line ends in names")
            : string.Join(Separator, parts);
    }

    /// <summary>The reverse of <see cref="ToText"/>.</summary>
    /// <exception cref="ArgumentException">It is not such a text.</exception>
    /// <exception cref="FormatException">A number or an address in it is none.</exception>
    public static LinkReopening Parse(string text)
    {
        var parts = text.Split(Separator);
        if (parts.Length != PartCount) throw new ArgumentException($"A link has {PartCount} parts, not {parts.Length}.", nameof(text));
        var settings = new LinkSettings
        {
            NetworkNamespace = parts[2].Length == 0 ? null : parts[2],
            Mtu = parts[3].Length == 0 ? null : int.Parse(parts[3], CultureInfo.InvariantCulture),
            Offloads = parts[4] == "on",
            BringUp = parts[5] == "on",
            KernelAddresses = [.. parts[7].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(IpPrefix.Parse)],
        };
        return new LinkReopening(LinkSpecification.Parse(parts[0]), parts[1], settings, parts[6] == "on");
    }

    private static string Switch(bool on) => on ? "on" : "off";
}
