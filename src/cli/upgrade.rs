//! `mcrctl upgrade`: asks for it, waits until the new program answers, and has that replace the data plane
//! where it is asked for.

use super::args::OutputForm;
use super::commands::{Failure, print};
use super::sentences;
use super::text::shown_json;
use crate::api::v1::{DataPlaneUpgrade, Pong, Upgrade};
use crate::api::{Client, ClientError};
use crate::clock;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

/// How long the new program may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) async fn run(
    client: &Client,
    data_plane: bool,
    form: OutputForm,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let begun = clock::now();
    let upgrade: Upgrade = client.post("/v1/upgrade", &Value::Null).await?.read()?;
    let pong = answers_again(client).await?;
    let took = clock::now().since(begun);
    let plane: Option<DataPlaneUpgrade> = match data_plane {
        true => {
            let client = client.clone().with_timeout(PATIENCE);
            Some(client.post("/v1/dataplane/upgrade", &Value::Null).await?.read()?)
        }
        false => None,
    };
    let text = match form {
        OutputForm::Table => {
            let control = sentences::upgraded(&upgrade, &pong, took);
            control + &plane.as_ref().map(sentences::data_plane_upgraded).unwrap_or_default()
        }
        OutputForm::Json => {
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let mut answer = json!({
                "from": upgrade.from, "to": pong.version, "program": upgrade.program,
                "pid": pong.pid, "milliseconds": millis,
            });
            if let Some(plane) = plane {
                answer["dataPlane"] = json!(plane);
            }
            format!("{}\n", shown_json(&format!("{answer:#}")))
        }
    };
    Ok(print(out, &text)?)
}

/// The old program answers no ping after what it has said: who answers is the new one.
async fn answers_again(client: &Client) -> Result<Pong, ClientError> {
    let until = clock::now().plus(PATIENCE);
    let client = client.clone().with_timeout(PATIENCE);
    loop {
        match client.ping().await {
            Err(ClientError::Refused(problem)) if problem.status != 503 => {
                return Err(ClientError::Refused(problem));
            }
            Err(_) if clock::now() < until => tokio::time::sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}
