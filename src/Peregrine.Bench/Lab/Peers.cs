// Where the peers' scripts are: bench/peers beside the sources. An installed tool has none of them and takes a path.
namespace Peregrine.Bench.Lab;

internal static class Peers
{
    internal static readonly string[] Known = ["k", "nginx", "kestrel", "lwip", "gvisor"];

    /// <summary>Whether a peer brings a TCP/IP of its own and stands on a device of its own.</summary>
    internal static bool IsStack(string peer) => peer is "lwip" or "gvisor";

    /// <summary>How a peer's server uses its sockets; empty for a program that nobody knows.</summary>
    internal static string ApiOf(string peer) => peer switch
    {
        "k" => "epoll, edge-triggered",
        "nginx" => "epoll",
        "kestrel" => "ASP.NET Core",
        "lwip" => "raw call-backs",
        "gvisor" => "gonet, a goroutine a connection",
        _ => "",
    };

    /// <summary>The program of a peer's name or path; null for "none".</summary>
    /// <exception cref="ArgumentException">There is none of that name.</exception>
    internal static string? Find(string peer)
    {
        if (peer == "none") return null;
        if (peer.Contains('/', StringComparison.Ordinal)) return File.Exists(peer) ? Path.GetFullPath(peer) : throw new ArgumentException($"--peer is \"{peer}\"; there is no such program.");
        if (!Known.Contains(peer)) throw new ArgumentException($"--peer is \"{peer}\"; it must be {string.Join(", ", Known)}, none, or the path of a program.");
        return Script("bench/peers/" + peer);
    }

    /// <summary>A script beside the sources.</summary>
    /// <exception cref="ArgumentException">This tool was installed, without sources.</exception>
    internal static string Script(string path)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
        {
            var script = Path.Combine(folder.FullName, path);
            if (File.Exists(script)) return script;
        }
        throw new ArgumentException($"{path} lies beside the sources only, and this tool is not: give --peer none, or a path.");
    }
}
