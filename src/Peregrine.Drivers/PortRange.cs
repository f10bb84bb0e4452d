// A range of ports, as options name them. A value, no behaviour.
namespace Peregrine.Drivers;

/// <summary>Ports from <paramref name="First"/> to <paramref name="Last"/>, both included.</summary>
/// <param name="First">The first port.</param>
/// <param name="Last">The last port, not below the first.</param>
public readonly record struct PortRange(ushort First, ushort Last)
{
    /// <summary>A single port.</summary>
    public PortRange(ushort port)
        : this(port, port)
    {
    }

    /// <summary>Reads "443" or "61000-65535".</summary>
    /// <exception cref="FormatException">It is neither.</exception>
    public static PortRange Parse(string text) =>
        TryParse(text, out var range) ? range : throw new FormatException($"'{text}' is no port and no range of ports: write 443 or 61000-65535.");

    /// <summary>As <see cref="Parse"/>, but answers false instead of throwing.</summary>
    public static bool TryParse(string text, out PortRange range)
    {
        ArgumentNullException.ThrowIfNull(text);
        range = default;
        var parts = text.Split('-');
        if (parts.Length > 2 || !ushort.TryParse(parts[0], out var first) || !ushort.TryParse(parts[^1], out var last) || first > last) return false;
        range = new PortRange(first, last);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => First == Last ? $"{First}" : $"{First}-{Last}";
}
