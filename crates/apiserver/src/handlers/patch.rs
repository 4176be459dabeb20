//! PATCH of one object: JSON patch, merge patch, strategic merge patch and server-side apply.

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use machinery::decode::{self, Decoded};
use machinery::field::{self, Path};
use machinery::managed_fields::{self, ApplyError};
use machinery::media_type;
use machinery::meta::{GroupKind, Metadata, MetadataExt};
use machinery::patch::{PatchError, json_patch, merge_patch, strategic_merge_patch};
use machinery::status::{Cause, Reason, Status};
use serde_json::Value;

use super::object_body::{self, BodyEncoding, Decoding};
use super::{Call, create};
use crate::description::Verb;
use crate::options::{WriteKind, WriteOptions};
use crate::request_body;
use crate::resource::Resource;
use crate::respond::Representation;
use crate::write::{self, Candidate, Ownership, Target};

pub(super) async fn handle<R: Resource>(
    call: Call<'_, R>,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let patch_type = PatchType::of(content_type)?;
    let representation = Representation::of_object(&request, call.cx)?;
    let body = request_body::take(request.into_body()).await?;
    let kind = if patch_type == PatchType::Apply {
        WriteKind::Apply
    } else {
        WriteKind::Patch
    };
    let options = WriteOptions::parse(&call.cx.query, kind, &call.cx.user_agent)?;
    let description = call.resource.registry().description();
    let decoding = Decoding {
        description,
        schema: call.schema,
        validation: options.validation,
        cx: call.cx,
    };
    let patcher = Patcher {
        call: &call,
        by: call.ownership(&options),
        options: &options,
        decoding,
    };
    let patch = patcher.read(patch_type, body)?;
    let target = call.target()?;
    let visibility = call.resource.visibility(call.cx, Verb::Patch).await?;
    let written = Target {
        key: target.key(),
        visibility: &visibility,
    };
    let make = |live: &R::Object, tree: &Value| patcher.make(&patch, live, tree);
    match (
        write::update(&**call.resource, call.cx, written, &patcher.by, make).await,
        &patch,
    ) {
        (Err(status), Patch::Apply(configuration))
            if status.reason == Reason::NotFound
                && call.creates(call.resource.creates_on_apply()) =>
        {
            let created =
                create::instead(&call, patcher.new_object(configuration)?, &patcher.by).await?;
            representation.written(call.resource, StatusCode::CREATED, &created)
        }
        (patched, _) => representation.written(call.resource, StatusCode::OK, &patched?),
    }
}

/// The media types of patches, in the order of [`PatchType`].
const PATCH_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// The patch types that every resource supports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum PatchType {
    Json,
    Merge,
    StrategicMerge,
    Apply,
}

impl PatchType {
    fn of(content_type: Option<&str>) -> Result<Self, Status> {
        let named = media_type::explicit_content_type(content_type, &PATCH_TYPES)?;
        Ok(match PATCH_TYPES.iter().position(|known| *known == named) {
            Some(0) => Self::Json,
            Some(1) => Self::Merge,
            Some(2) => Self::StrategicMerge,
            _ => Self::Apply,
        })
    }
}

/// A patch, decoded as far as possible without the object.
enum Patch {
    Json(Vec<u8>),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

struct Patcher<'a, R> {
    call: &'a Call<'a, R>,
    by: Ownership<'a>,
    options: &'a WriteOptions,
    decoding: Decoding<'a>,
}

impl<R: Resource> Patcher<'_, R> {
    fn read(&self, patch_type: PatchType, body: Vec<u8>) -> Result<Patch, Status> {
        let document = || {
            let Decoded { value, duplicates } =
                BodyEncoding::Json.decode(&body, self.decoding.description.kind)?;
            self.decoding.report(&[], &duplicates)?;
            Ok::<_, Status>(value)
        };
        match patch_type {
            PatchType::Json => Ok(Patch::Json(body)),
            PatchType::Merge => document().map(Patch::Merge),
            PatchType::StrategicMerge => document().map(Patch::Strategic),
            PatchType::Apply => self.apply_configuration(&body).map(Patch::Apply),
        }
    }

    /// Decodes the configuration of an apply, and checks it as far as possible without the object.
    fn apply_configuration(&self, body: &[u8]) -> Result<Value, Status> {
        let decoded = decode::yaml(body)
            .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
        let Decoded {
            mut value,
            duplicates,
        } = decoded;
        let description = self.decoding.description;
        let text = |field: &str| {
            value
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if text("kind") != description.kind || text("apiVersion") != description.group_version() {
            return Err(Status::bad_request(format!(
                "the configuration must have apiVersion {:?} and kind {:?}",
                description.group_version(),
                description.kind
            )));
        }
        if value
            .pointer("/metadata/managedFields")
            .is_some_and(|managed| !managed.is_null())
        {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        let conformity = decode::conform(self.call.schema, &mut value)
            .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
        self.decoding.report(&conformity.unknown, &duplicates)?;
        let name = value
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let target = self.call.target()?;
        if !name.is_empty() && name != target.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                target.name
            )));
        }
        Ok(value)
    }

    fn make(
        &self,
        patch: &Patch,
        live: &R::Object,
        tree: &Value,
    ) -> Result<Candidate<R::Object>, Status> {
        match patch {
            Patch::Json(patch) => {
                let patched = json_patch::apply(&self.with_type(tree), patch)
                    .map_err(|error| self.refused(error))?;
                for warning in &patched.warnings {
                    self.call.cx.warn(warning);
                }
                self.candidate(patched.value, live)
            }
            Patch::Merge(patch) => {
                self.candidate(merge_patch::apply(&self.with_type(tree), patch), live)
            }
            Patch::Strategic(patch) => {
                let patched =
                    strategic_merge_patch::apply(self.call.schema, &self.with_type(tree), patch);
                self.candidate(patched.map_err(|error| self.refused(error))?, live)
            }
            Patch::Apply(configuration) => self.apply(configuration, Some(tree)),
        }
    }

    /// Returns the object that an apply creates if none exists.
    fn new_object(&self, configuration: &Value) -> Result<Candidate<R::Object>, Status> {
        let target = self.call.target()?;
        if let Some(uid) = configuration
            .pointer("/metadata/uid")
            .and_then(Value::as_str)
        {
            let resource = self.call.resource.registry().group_resource();
            let text = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Status::conflict(resource, &target.name, &text));
        }
        let mut candidate = self.apply(configuration, None)?;
        candidate.object.metadata_mut().name = Some(target.name.clone());
        object_body::settle_namespace(
            &mut candidate.object,
            self.decoding.description,
            &target.namespace,
        )?;
        Ok(candidate)
    }

    fn apply(
        &self,
        configuration: &Value,
        tree: Option<&Value>,
    ) -> Result<Candidate<R::Object>, Status> {
        let reset = self.by.reset(&**self.call.resource);
        let applied = managed_fields::apply(
            self.call.schema,
            tree,
            configuration,
            &self.by.manager(),
            self.options.force,
            reset,
        );
        let applied = applied.map_err(|error| self.conflicts(error))?;
        let mut object: R::Object = write::typed(without_type(applied.value))?;
        object.metadata_mut().managed_fields = Some(applied.managed_fields);
        Ok(Candidate {
            object,
            applied: true,
        })
    }

    /// Validates a patched object against the schema, and checks that its name and namespace are
    /// unchanged.
    fn candidate(
        &self,
        mut patched: Value,
        live: &R::Object,
    ) -> Result<Candidate<R::Object>, Status> {
        let conformity = decode::conform(self.call.schema, &mut patched)
            .map_err(|error| self.invalid(&patched, &error.to_string()))?;
        let strict = self.options.validation == decode::FieldValidation::Strict;
        if strict && !conformity.unknown.is_empty() {
            return Err(self.invalid(
                &patched,
                &decode::strict_error_text(&conformity.unknown, &[]),
            ));
        }
        self.decoding.report(&conformity.unknown, &[])?;
        let object: R::Object = write::typed(without_type(patched))?;
        let (new, live) = (object.metadata(), live.metadata());
        if new.name != live.name || new.namespace != live.namespace {
            return Err(Status::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                new.name(),
                live.name()
            )));
        }
        Ok(Candidate {
            object,
            applied: false,
        })
    }

    /// Adds kind and apiVersion, because a patch may test them.
    fn with_type(&self, tree: &Value) -> Value {
        let mut tree = tree.clone();
        tree["kind"] = self.decoding.description.kind.into();
        tree["apiVersion"] = self.decoding.description.group_version().into();
        tree
    }

    fn invalid(&self, patched: &Value, why: &str) -> Status {
        let description = self.decoding.description;
        let kind = GroupKind::new(description.group, description.kind);
        let error = field::Error::invalid(&Path::root("patch"), patched.to_string(), why);
        let name = self
            .call
            .target()
            .map(|target| target.name.clone())
            .unwrap_or_default();
        Status::invalid(&kind, &name, &[error])
    }

    fn refused(&self, error: PatchError) -> Status {
        match error {
            PatchError::Malformed(why) => Status::bad_request(why),
            PatchError::TooManyOperations(count) => Status::request_too_large(&format!(
                "The allowed maximum operations in a JSON patch is 10000, got {count}"
            )),
            PatchError::Rejected(_) => Status::inapplicable_patch(),
        }
    }

    fn conflicts(&self, error: ApplyError) -> Status {
        let ApplyError::Conflicts(conflicts) = &error else {
            return Status::bad_request(error.message());
        };
        let causes = conflicts.iter().map(|conflict| Cause {
            reason: "FieldManagerConflict".into(),
            message: format!("conflict with {}", conflict.manager),
            field: conflict.field.clone(),
        });
        Status::apply_conflict(error.message(), causes.collect())
    }
}

fn without_type(mut tree: Value) -> Value {
    if let Some(fields) = tree.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    tree
}
