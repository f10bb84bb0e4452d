// Runs one script: walks through its events in its world's time, lets blocking calls wait while later events happen, sends what comes in and
// compares what goes out. Ends at the first difference, with the line and what was expected and seen.
using Peregrine.Posix;
using Peregrine.Scripting.Language;
using static Peregrine.Scripting.Language.ScriptValue;

namespace Peregrine.Scripting.Running;

internal sealed class ScriptRunner
{
    private readonly Script _script;
    private readonly IScriptWorld _world;
    private readonly IScriptSystem _system;
    private readonly Action<string>? _trace;
    private readonly ScriptWire _wire;
    private readonly PythonScope _python;
    private long _previous;
    private PendingCall? _pending;
    private bool _isUsed;

    /// <summary>A call that waits.</summary>
    private sealed record PendingCall(CallEvent Event, Func<PosixResult> Try, long? EndMicroseconds)
    {
        internal PosixResult? Result { get; set; }

        internal long EndedAt { get; set; }
    }

    private ScriptRunner(Script script, IScriptWorld world, IScriptSystem system, Action<string>? trace)
    {
        (_script, _world, _system, _trace) = (script, world, system, trace);
        _wire = new ScriptWire(world, system, trace);
        _python = new PythonScope { LookUp = system.LookUp, Print = trace is null ? null : text => trace($"{Clock(_world.Microseconds)} % {text}") };
        world.OnTurn = Retry;
    }

    /// <summary>Runs a script's text against a stack of its own.</summary>
    internal static ScriptResult Run(string name, string text, Profile profile, Action<string>? trace = null) => Run(name, text, profile, (script, setup) =>
    {
        var options = ScriptShell.SettingsBefore(script, profile.Options, !setup.Local.IsIPv4);
        using var world = new ScriptWorld(options, setup);
        Run(script, world, new ScriptCalls(world, options), trace);
    });

    /// <summary>Reads a script, has it run by whoever knows against what, and says what became of it.</summary>
    internal static ScriptResult Run(string name, string text, Profile profile, Action<Script, ScriptSetup> run)
    {
        try
        {
            text = Conditions.Apply(text, profile.Manners.IsFreeBsd ? "FreeBSD" : "Linux");
            text = Symbols.Define(text);
            var script = ScriptParser.Parse(name, text);
            var setup = SetupReader.Read(script, profile);
            if (Symbols.TryApply(setup, ref text)) script = ScriptParser.Parse(name, text);
            run(script, setup);
            return new ScriptResult(name, ScriptOutcome.Passed, "");
        }
        catch (NotApplicableException e)
        {
            return new ScriptResult(name, ScriptOutcome.NotApplicable, e.Message);
        }
        catch (Exception e) when (e is ScriptFailedException or ScriptSyntaxException)
        {
            return new ScriptResult(name, ScriptOutcome.Failed, e.Message);
        }
        catch (ArgumentOutOfRangeException e)
        {
            // A setting outside the range that ours has.
            return new ScriptResult(name, ScriptOutcome.NotApplicable, e.Message.Split('\n')[0]);
        }
    }

    /// <summary>Runs a script that was read against a world that stands.</summary>
    internal static void Run(Script script, IScriptWorld world, IScriptSystem system, Action<string>? trace) => new ScriptRunner(script, world, system, trace).Run();

    private void Run()
    {
        for (var i = 0; i < _script.Events.Count; i++)
        {
            var e = _script.Events[i];
            try
            {
                Step(e);
            }
            catch (ScriptFailedException failure) when (!failure.Message.StartsWith("line ", StringComparison.Ordinal))
            {
                throw new ScriptFailedException($"line {e.Line}: {failure.Message}");
            }
            catch (NotApplicableException reason) when (!reason.Message.StartsWith("line ", StringComparison.Ordinal))
            {
                throw new NotApplicableException($"line {e.Line}: {reason.Message}");
            }
        }
        if (_pending is not null) AwaitPending();
    }

    private void Step(ScriptEvent e)
    {
        var at = e.Time.Kind == TimeKind.Absolute ? e.Time.Start : _previous + e.Time.Start;
        var origin = e.Time.Kind == TimeKind.Absolute ? 0 : _previous;
        var latest = e.Time.Latest is { } range ? origin + range : at;
        if (e.Time.Kind == TimeKind.Any) (at, latest) = (_world.Microseconds, long.MaxValue);
        if (e is PacketEvent { IsInbound: false } expected)
        {
            var seen = _wire.Expect(expected, at, latest);
            // What follows a range counts from when the packet came.
            _previous = e.Time.Kind == TimeKind.Any || e.Time.Latest is not null ? seen : at;
            return;
        }
        // One call at a time: another waits for the one before.
        if (e is CallEvent && _pending is not null) AwaitPending();
        _world.AdvanceTo(at);
        _previous = at;
        _isUsed |= e is not ShellEvent;
        switch (e)
        {
            case PacketEvent inbound:
                _wire.Send(inbound);
                break;
            case CallEvent call:
                Call(call, call.Time.End is { } end ? origin + end : null);
                break;
            case CodeEvent code:
                Check(code);
                break;
            case ShellEvent shell:
                _system.Shell(shell.Command, _isUsed, _script.Events.Any(other => other.Line > shell.Line && other is PacketEvent));
                break;
        }
    }

    private void Call(CallEvent call, long? end)
    {
        _pending = new PendingCall(call, _system.Start(call), end);
        Retry();
        _world.Pump();
        if (end is null || _pending.Result is not null) AwaitPending();
    }

    // Asked after every turn of the stack, so that a call ends at the moment that it can.
    private void Retry()
    {
        if (_pending is not { Result: null } pending) return;
        var result = pending.Try();
        if (result.Blocks) return;
        pending.Result = _system.Rename(pending.Event, result);
        pending.EndedAt = _world.Microseconds;
        var seen = pending.Result.Value;
        _trace?.Invoke($"{Clock(pending.EndedAt)} {pending.Event.Name}() = {seen.Value}{(seen.Errno is null ? "" : " " + seen.Errno)}{(_system.WasRead is { } read ? $" [{read}]" : "")}");
        _system.WasRead = null;
    }

    private void AwaitPending()
    {
        var pending = _pending!;
        try
        {
            var tolerance = _world.Setup.ToleranceMicroseconds;
            var end = pending.EndMicroseconds ?? _world.Microseconds;
            if (pending.Result is null) _world.AdvanceTo(end + tolerance, () => pending.Result is not null);
            if (pending.Result is not { } result) throw new ScriptFailedException($"{pending.Event.Name}() still waits at {Seconds(_world.Microseconds)}");
            if (pending.EndMicroseconds is { } wanted && Math.Abs(pending.EndedAt - wanted) > tolerance)
                throw new ScriptFailedException($"{pending.Event.Name}() ended at {Seconds(pending.EndedAt)}, not at {Seconds(wanted)}");
            Compare(pending.Event, result);
        }
        catch (ScriptFailedException) when (_world.Setup.CallsAreNotFatal)
        {
            // --non_fatal=syscall: a call that fails is no failure of the script.
        }
        catch (ScriptFailedException e) when (!e.Message.StartsWith("line ", StringComparison.Ordinal))
        {
            throw new ScriptFailedException($"line {pending.Event.Line}: {e.Message}");
        }
        finally
        {
            _pending = null;
        }
    }

    private static void Compare(CallEvent call, PosixResult result)
    {
        var seen = result.Errno is { } errno ? $"{result.Value} {errno}" : $"{result.Value}";
        if (call.Result is Ellipsis) return;
        var value = call.Result is Number number ? number.Value : Constants.ValueOf(call.Result);
        var wanted = call.Errno is null ? $"{value}" : $"{value} {call.Errno}";
        if (result.Value != value || (call.Errno is { } e && !SameError(e, result.Errno))) throw new ScriptFailedException($"{call.Name}() returned {seen}, not {wanted}");
    }

    private static bool SameError(string wanted, string? seen) =>
        wanted == seen || (wanted is "EWOULDBLOCK" && seen is "EAGAIN") || (wanted is "ENOTSUP" && seen is "EOPNOTSUPP");

    private void Check(CodeEvent code)
    {
        if (Python.Run(_python, code.Text) is { } failure) throw new ScriptFailedException(failure);
    }

    /// <summary>A time as a trace begins with it.</summary>
    internal static string Clock(long microseconds) => $"{microseconds / 1_000_000,3}.{microseconds % 1_000_000:d6}";

    internal static string Seconds(long microseconds) => $"{microseconds / 1_000_000}.{microseconds % 1_000_000:d6} s";
}
