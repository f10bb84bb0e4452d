// The kinds of link that "demo links" shows, one entry each: how both ends are made. A kind joins by an entry in All.
using Peregrine.Core.Links;
using Peregrine.Drivers;

namespace Peregrine.Cli.Demo;

/// <summary>How one kind of link is shown.</summary>
/// <param name="Kind">The kind's word.</param>
/// <param name="Line">The line of the site's end, as the table shows it.</param>
/// <param name="Open">Opens the site's end and, unless the client is the kernel in <see cref="LinkPlaces.Client"/>, the client's.</param>
internal sealed record LinkShow(string Kind, string Line, Func<LinkPlaces, string, (ILink Ours, ILink? Theirs)> Open)
{
    internal static IReadOnlyList<LinkShow> All { get; } =
    [
        new("packet", $"packet:{LinkPlaces.Near}", static (places, line) => (places.Site.Run(() => LinkFactory.Open(line)), null)),
        new("xdp", $"xdp:{LinkPlaces.Near}", static (places, line) => (places.Site.Run(() => LinkFactory.Open(line)), null)),
        new("tap", $"tap:show0,kernel={DemoWorld.TheirIPv4}/24", static (places, line) => (places.TapSite.Run(() => LinkFactory.Open(line)), null)) { IsTap = true },
        new("tun", $"tun:show1,kernel={DemoWorld.TheirIPv4}/24", static (places, line) => (places.TapSite.Run(() => LinkFactory.Open(line)), null)) { IsTap = true },
        new("memif", "memif:SOCKET,server", static (places, _) => Pair($"memif:{places.Folder}/show.sock,server", $"memif:{places.Folder}/show.sock")),
        new("dpdk", "dpdk:net_memif0,role=client,socket=SOCKET", static (places, _) => Pair(
            $"dpdk:net_memif0,role=client,socket-abstract=no,socket={places.Folder}/dpdk.sock", $"memif:{places.Folder}/dpdk.sock,server")),
        new("memory", "memory", static (_, line) => LinkFactory.Open(line) is MemoryLink end ? (end, end.Peer) : throw new InvalidOperationException("memory is a pair")),
    ];

    /// <summary>Whether the kernel's side of the link itself is the client's interface, in <see cref="LinkPlaces.TapSite"/>.</summary>
    internal bool IsTap { get; init; }

    private static (ILink, ILink?) Pair(string ours, string theirs)
    {
        var first = LinkFactory.Open(ours);
        try
        {
            return (first, LinkFactory.Open(theirs));
        }
        catch
        {
            first.Dispose();
            throw;
        }
    }
}

/// <summary>Namespaces that only this process knows: a pair of interfaces between the site's and the client's, and one for TAP devices.</summary>
internal sealed class LinkPlaces : IDisposable
{
    internal const string Near = "near0", Far = "far0";

    internal LinkPlaces()
    {
        Folder = Directory.CreateTempSubdirectory("peregrine-links-").FullName;
        Client = NetworkNamespace.Create();
        Site = NetworkNamespace.Create();
        TapSite = NetworkNamespace.Create();
        Site.Run(() =>
        {
            KernelInterface.AddPair(Near, Far, Client);
            KernelInterface.SetUp(Near);
        });
        Client.Run(() =>
        {
            KernelInterface.SetUp(Far);
            KernelInterface.AddAddress(Far, Wire.IpPrefix.Parse(DemoWorld.TheirIPv4 + "/24"));
        });
    }

    internal string Folder { get; }

    internal NetworkNamespace Client { get; }

    internal NetworkNamespace Site { get; }

    internal NetworkNamespace TapSite { get; }

    public void Dispose()
    {
        Client.Dispose();
        Site.Dispose();
        TapSite.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
