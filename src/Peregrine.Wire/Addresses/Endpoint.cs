// An address with a port, and the pair of them that names a connection.
using System.Runtime.InteropServices;

namespace Peregrine.Wire;

/// <summary>An address and a port.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly struct Endpoint : IEquatable<Endpoint>, ISpanFormattable
{
    /// <summary>Longest text of an endpoint, in characters.</summary>
    public const int TextLengthMax = IpAddress.TextLengthMax + 8;

    /// <summary>Makes an endpoint.</summary>
    public Endpoint(IpAddress address, ushort port)
    {
        Address = address;
        Port = port;
    }

    /// <summary>The address.</summary>
    public IpAddress Address { get; }

    /// <summary>The port, in host order.</summary>
    public ushort Port { get; }

    /// <summary>Reads "1.2.3.4:80" or "[::1]:80".</summary>
    /// <exception cref="FormatException">The text is no endpoint.</exception>
    public static Endpoint Parse(ReadOnlySpan<char> text) =>
        TryParse(text, out Endpoint endpoint) ? endpoint : throw new FormatException($"'{text}' is not an address with a port.");

    /// <inheritdoc cref="Parse(ReadOnlySpan{char})"/>
    public static Endpoint Parse(string text) => Parse(text.AsSpan());

    /// <summary>As <see cref="Parse(ReadOnlySpan{char})"/>, but answers false instead of throwing.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out Endpoint endpoint)
    {
        endpoint = default;
        int colon = text.LastIndexOf(':');
        if (colon < 0 || !AddressText.TryParseDecimal(text[(colon + 1)..], ushort.MaxValue, 5, out int port)) return false;
        ReadOnlySpan<char> host = text[..colon];
        bool bracketed = host.Length >= 2 && host[0] == '[' && host[^1] == ']';
        if (bracketed) host = host[1..^1];
        // An IPv6 address needs its brackets (RFC 5952 §6), else the port could be its last group.
        if (host.Contains(':') != bracketed || !IpAddress.TryParse(host, out IpAddress address)) return false;
        endpoint = new Endpoint(address, (ushort)port);
        return true;
    }

    /// <inheritdoc/>
    public bool Equals(Endpoint other) => Address == other.Address && Port == other.Port;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Endpoint other && Equals(other);

    /// <summary>A hash without a key, good for dictionaries of trusted content only.</summary>
    public override int GetHashCode() => Address.GetHashCode() * 31 + Port;

    /// <summary>Whether two endpoints are the same.</summary>
    public static bool operator ==(Endpoint left, Endpoint right) => left.Equals(right);

    /// <summary>Whether two endpoints differ.</summary>
    public static bool operator !=(Endpoint left, Endpoint right) => !left.Equals(right);

    /// <summary>"1.2.3.4:80" or "[::1]:80".</summary>
    public override string ToString()
    {
        Span<char> text = stackalloc char[TextLengthMax];
        TryFormat(text, out int written);
        return new string(text[..written]);
    }

    /// <inheritdoc/>
    public string ToString(string? format, IFormatProvider? formatProvider) => ToString();

    /// <inheritdoc/>
    public bool TryFormat(Span<char> destination, out int charsWritten, ReadOnlySpan<char> format = default, IFormatProvider? provider = null)
    {
        var text = new TextSpan(destination);
        if (Address.IsIPv6) text.Append('[');
        text.Append(Address);
        if (Address.IsIPv6) text.Append(']');
        text.Append(':');
        text.Append((uint)Port);
        charsWritten = text.Overflowed ? 0 : text.Length;
        return !text.Overflowed;
    }
}

/// <summary>The two ends of a connection, seen from this host.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly struct FourTuple : IEquatable<FourTuple>
{
    /// <summary>Makes a pair of endpoints.</summary>
    public FourTuple(Endpoint local, Endpoint remote)
    {
        Local = local;
        Remote = remote;
    }

    /// <summary>This host's end.</summary>
    public Endpoint Local { get; }

    /// <summary>The peer's end.</summary>
    public Endpoint Remote { get; }

    /// <summary>The same connection as the peer sees it.</summary>
    public FourTuple Reversed => new(Remote, Local);

    /// <inheritdoc/>
    public bool Equals(FourTuple other) => Local == other.Local && Remote == other.Remote;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is FourTuple other && Equals(other);

    /// <summary>A hash without a key, good for dictionaries of trusted content only.</summary>
    public override int GetHashCode() => Local.GetHashCode() * 16777619 ^ Remote.GetHashCode();

    /// <summary>Whether two pairs are the same.</summary>
    public static bool operator ==(FourTuple left, FourTuple right) => left.Equals(right);

    /// <summary>Whether two pairs differ.</summary>
    public static bool operator !=(FourTuple left, FourTuple right) => !left.Equals(right);

    /// <summary>"local &lt;-&gt; remote".</summary>
    public override string ToString() => $"{Local} <-> {Remote}";
}
