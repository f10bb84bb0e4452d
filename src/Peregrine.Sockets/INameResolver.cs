// From names to addresses. The sockets know literals and a table; asking a server is for whoever is handed in.
using System.Net;
using System.Net.Sockets;
using Peregrine.Wire;

namespace Peregrine.Sockets;

/// <summary>Finds the addresses of a host.</summary>
public interface INameResolver
{
    /// <summary>The host's addresses, best first.</summary>
    /// <exception cref="SocketException"><see cref="SocketError.HostNotFound"/>: the name is not known.</exception>
    ValueTask<IPAddress[]> ResolveAsync(string host, CancellationToken cancel = default);
}

/// <summary>Literals, "localhost" and a table of configured hosts; other names go to another resolver, if there is one.</summary>
public sealed class HostTable : INameResolver
{
    private readonly Dictionary<string, IPAddress[]> _hosts = new(StringComparer.OrdinalIgnoreCase)
    {
        ["localhost"] = [IPAddress.Loopback, IPAddress.IPv6Loopback],
    };

    private readonly INameResolver? _next;

    /// <summary>Makes a table.</summary>
    /// <param name="hosts">Names and their addresses, best first; names are compared without case.</param>
    /// <param name="next">Who is asked for names that are not in the table.</param>
    public HostTable(IEnumerable<KeyValuePair<string, IPAddress[]>>? hosts = null, INameResolver? next = null)
    {
        foreach (var (name, addresses) in hosts ?? []) _hosts[name] = addresses;
        _next = next;
    }

    /// <inheritdoc/>
    public ValueTask<IPAddress[]> ResolveAsync(string host, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(host);
        var literal = host is ['[', .., ']'] ? host[1..^1] : host;
        if (IpAddress.TryParse(literal, out var address)) return new([address.ToIPAddress()]);
        if (_hosts.TryGetValue(host, out var addresses)) return new(addresses);
        return _next?.ResolveAsync(host, cancel) ?? ValueTask.FromException<IPAddress[]>(new SocketException((int)SocketError.HostNotFound));
    }
}
