// What became of a script, as the command prints it.
namespace Peregrine.Scripting;

/// <summary>How a script ended.</summary>
public enum ScriptOutcome
{
    /// <summary>Everything was as expected.</summary>
    Passed,

    /// <summary>Something was not; or the script cannot be read.</summary>
    Failed,

    /// <summary>The script needs something that this stack or this interpreter does not have.</summary>
    NotApplicable,
}

/// <summary>What became of a script.</summary>
/// <param name="Name">Its file.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Detail">Why: the line, what was expected and what was seen; or what is missing. Empty when it passed.</param>
public sealed record ScriptResult(string Name, ScriptOutcome Outcome, string Detail)
{
    /// <summary>One line for people.</summary>
    public override string ToString() => Outcome switch
    {
        ScriptOutcome.Passed => $"passed          {Name}",
        ScriptOutcome.Failed => $"failed          {Name}: {Detail}",
        _ => $"not applicable  {Name}: {Detail}",
    };
}

/// <summary>An expectation that did not hold.</summary>
internal sealed class ScriptFailedException(string message) : Exception(message);

/// <summary>Something that is not there.</summary>
internal sealed class NotApplicableException(string message) : Exception(message);
