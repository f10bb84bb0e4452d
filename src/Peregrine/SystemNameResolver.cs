// Names through the operating system's resolver: its questions go over the kernel's network, not over ours.
using System.Net;
using Peregrine.Sockets;

namespace Peregrine;

/// <summary>The system's resolver.</summary>
public sealed class SystemNameResolver : INameResolver
{
    /// <inheritdoc/>
    public async ValueTask<IPAddress[]> ResolveAsync(string host, CancellationToken cancel = default) =>
        await Dns.GetHostAddressesAsync(host, cancel).ConfigureAwait(false);
}
