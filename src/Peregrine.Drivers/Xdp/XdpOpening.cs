// What takes rights when an AF_XDP link comes back: the program attached anew, sockets, and memory for frames beyond what the process may
// lock (RLIMIT_MEMLOCK, mostly 8 MiB). After root was given up the privileged opener runs this. All else takes no right: to map a
// socket's rings, to bind it, to enter it in the program's map.
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Xdp;

internal static class XdpOpening
{
    /// <summary>Descriptors: first that of the attachment, which lasts as long as it is open, then a socket for each queue, not bound.</summary>
    /// <exception cref="UnauthorizedAccessException">It is not permitted.</exception>
    /// <exception cref="IOException">The interface is not there, or the kernel refused.</exception>
    public static int[] Open(string name, int program, XdpOptions options) => NetworkNamespace.RunIn(options.NetworkNamespace, () =>
    {
        var opened = new int[1 + options.QueueCount];
        Array.Fill(opened, -1);
        try
        {
            opened[0] = XdpAttachment.Attach(Find(name), program, options.Mode).Descriptor;
            for (var i = 1; i < opened.Length; i++) opened[i] = XdpSocket.Create(options);
            return opened;
        }
        catch
        {
            foreach (var descriptor in opened)
            {
                if (descriptor >= 0) Posix.Close(descriptor);
            }
            throw;
        }
    });

    /// <summary>
    /// Registers memory with a socket: the kernel pins the pages, and does not ask in whose address space they were seen. The memory may be
    /// another process's, which is not trusted; it is never looked at here.
    /// </summary>
    public static unsafe PosixResult Register(int socket, int memory, in XdpUmemRegistration registration)
    {
        // Whatever has seals is memory, and no device or remote file that could keep us waiting.
        var seals = UnixSocket.Seals(memory);
        if (seals.IsError) return seals;
        var length = UnixSocket.Length(memory);
        if (length.IsError) return length;
        if (registration.Address > (ulong)length.Value || registration.Length > (ulong)length.Value - registration.Address) return PosixResult.Of(Errno.EINVAL);
        var mapped = Posix.Map(0, (nuint)length.Value, MapFlags.Read | MapFlags.Write, MapFlags.Shared, memory);
        if (mapped.IsError) return mapped;
        var placed = registration;
        placed.Address += (ulong)mapped.Value;
        var result = XdpCalls.Set(socket, XdpNumbers.Level, XdpNumbers.RegisterUmem, placed);
        Posix.Unmap(mapped.Value, (nuint)length.Value);
        return result;
    }

    /// <summary>An Ethernet interface in the calling thread's namespace.</summary>
    /// <exception cref="IOException">There is none of that name.</exception>
    public static InterfaceFacts Find(string name)
    {
        var facts = InterfaceDump.Read().FirstOrDefault(one => one.Name == name) ?? throw new IOException($"there is no interface '{name}': 'ip link' lists them");
        return facts.IsEthernet && !facts.IsLoopback
            ? facts
            : throw new IOException($"'{name}' has no Ethernet headers: an XDP link needs an Ethernet interface");
    }
}
