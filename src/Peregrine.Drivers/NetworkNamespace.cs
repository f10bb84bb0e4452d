// A network namespace, held by a descriptor and entered by threads made for it. Not a container: nothing but the network is apart.
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers;

/// <summary>
/// A network namespace. <see cref="Run{T}"/> runs a function inside; sockets, TAP links and child processes made there stay in it.
/// Making one needs CAP_SYS_ADMIN (root, or root of a user namespace: <c>unshare -Urn</c>).
/// </summary>
public sealed class NetworkNamespace : IDisposable
{
    private int _descriptor;

    private NetworkNamespace(int descriptor) => _descriptor = descriptor;

    internal int Descriptor => _descriptor;

    /// <summary>A path by which other programs can enter while this process holds the namespace (<c>nsenter --net=PATH</c>).</summary>
    public string Path => $"/proc/{Environment.ProcessId}/fd/{_descriptor}";

    /// <summary>Makes a new namespace without a name, its loopback interface up. It ends with the last process, socket or descriptor in it.</summary>
    /// <exception cref="UnauthorizedAccessException">Namespaces are not permitted; the message says what to do.</exception>
    public static NetworkNamespace Create()
    {
        var descriptor = OnOwnThread(static () =>
        {
            var unshared = Posix.UnshareNetwork();
            if (unshared.Errno == Errno.EPERM) ThrowNotPermitted("make");
            unshared.ThrowIfError("cannot make a network namespace");
            var opened = Posix.Open("/proc/thread-self/ns/net", OpenFlags.ReadOnly).ThrowIfError("cannot hold the new network namespace").Int32;
            using var netlink = new RouteNetlink();
            netlink.SetUp("lo", true);
            return opened;
        });
        return new NetworkNamespace(descriptor);
    }

    /// <summary>Opens an existing namespace: a name as <c>ip netns</c> lists it, or a path.</summary>
    /// <exception cref="FileNotFoundException">There is no such namespace.</exception>
    public static NetworkNamespace Open(string nameOrPath)
    {
        ArgumentException.ThrowIfNullOrEmpty(nameOrPath);
        var path = nameOrPath.Contains('/', StringComparison.Ordinal) ? nameOrPath : "/run/netns/" + nameOrPath;
        var opened = Posix.Open(path, OpenFlags.ReadOnly);
        if (opened.Errno == Errno.ENOENT)
            throw new FileNotFoundException($"There is no network namespace '{nameOrPath}' ({path}): make it with 'ip netns add', or give a path.");
        return new NetworkNamespace(opened.ThrowIfError($"cannot open the network namespace {path}").Int32);
    }

    /// <summary>
    /// Runs a function inside the namespace: at once where the calling thread is there already, which takes no right, and else on a thread that
    /// enters it, and waits for that; its exception comes through.
    /// </summary>
    /// <exception cref="UnauthorizedAccessException">Entering is not permitted.</exception>
    public T Run<T>(Func<T> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        ObjectDisposedException.ThrowIf(_descriptor < 0, this);
        if (IsCurrent) return function();
        return OnOwnThread(() =>
        {
            var entered = Posix.SetNetworkNamespace(_descriptor);
            if (entered.Errno == Errno.EPERM) ThrowNotPermitted("enter");
            entered.ThrowIfError("cannot enter the network namespace");
            return function();
        });
    }

    /// <summary>As <see cref="Run{T}"/>, without a result.</summary>
    public void Run(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        Run(() =>
        {
            action();
            return true;
        });
    }

    /// <summary>Holds the namespace of the calling thread; null where the machine does not show it (no /proc).</summary>
    internal static NetworkNamespace? TryHoldCurrent()
    {
        var opened = Posix.Open("/proc/thread-self/ns/net", OpenFlags.ReadOnly);
        return opened.IsError ? null : new NetworkNamespace(opened.Int32);
    }

    /// <summary>Whether the calling thread is in it.</summary>
    internal bool IsCurrent => new FileInfo("/proc/thread-self/ns/net").LinkTarget is { } here && here == new FileInfo($"/proc/self/fd/{_descriptor}").LinkTarget;

    /// <summary>Runs a function in the namespace of a name or path, or where the calling thread is when that is null.</summary>
    internal static T RunIn<T>(string? nameOrPath, Func<T> function)
    {
        if (nameOrPath is null) return function();
        using var space = Open(nameOrPath);
        return space.Run(function);
    }

    /// <summary>Lets the namespace go. Links and sockets made in it keep it alive.</summary>
    public void Dispose()
    {
        var descriptor = Interlocked.Exchange(ref _descriptor, -1);
        if (descriptor >= 0) Posix.Close(descriptor);
    }

    // A thread that has changed its namespace is never used for anything else: it ends.
    private static T OnOwnThread<T>(Func<T> function)
    {
        T? result = default;
        System.Runtime.ExceptionServices.ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                result = function();
            }
            catch (Exception e)
            {
                failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
            }
        })
        { IsBackground = true, Name = "network namespace" };
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result!;
    }

    private static void ThrowNotPermitted(string verb) =>
        throw new UnauthorizedAccessException($"no permission to {verb} a network namespace: run as root, or inside 'unshare -Urn'");
}
